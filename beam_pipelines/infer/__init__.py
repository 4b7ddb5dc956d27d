"""Data files looked into, for a contract of what is in them."""
