"""Tables of databases that speak SQL: rows are loaded beside the table, and put into it in one transaction."""
