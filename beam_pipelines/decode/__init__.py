"""From bytes to columns, one module per format."""
