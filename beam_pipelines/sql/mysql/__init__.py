"""MySQL and MariaDB: connections, what errors mean, what the catalog tells of a table."""
