"""PostgreSQL, and what speaks its protocol: connections, what errors mean, what the catalog tells of a table."""
