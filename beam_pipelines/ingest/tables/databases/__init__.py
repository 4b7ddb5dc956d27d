"""Tables of databases that speak SQL, as a source: split by ranges of a column, and read from a watermark on."""
