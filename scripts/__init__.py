"""Scripts for people, `make` and tests: `python -m scripts.NAME`. They need nothing but the standard library."""
