"""What there is to pay before the first row: `--help`, and a run of 1,000 rows."""
