"""Apache Iceberg: catalogs, tables and types, for the source and the sink."""
