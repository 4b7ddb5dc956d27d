"""Hide what may not be seen."""
