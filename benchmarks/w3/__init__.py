"""W3: exact distinct counts and quantiles of the events by country and kind, from Parquet."""
