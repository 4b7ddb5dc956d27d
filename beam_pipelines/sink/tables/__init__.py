"""Tables of stores that people query, written once: staged as files by bundles, committed by name at the end."""
