"""Delta tables, written: a table's options and columns, its commits, and the files that become its own."""
