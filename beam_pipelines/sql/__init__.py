"""Databases that speak SQL: how tables are named, how to connect, what errors mean. For sources, sinks and lookups."""
