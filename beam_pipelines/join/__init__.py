"""Put rows together that belong together: lookups in a table, two large inputs, as-of joins."""
