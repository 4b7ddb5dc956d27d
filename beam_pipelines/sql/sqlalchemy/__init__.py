"""Any database that SQLAlchemy has a dialect for: connections, what errors mean, its types as Arrow's."""
