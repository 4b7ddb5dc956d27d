"""W1, event analytics: JSON Lines → checked rows, dead letters and windowed aggregates in Parquet.

Every side reads the same file and does the same work:

1. Each line is parsed and judged by seven fields' types and rules (`events/rules.py`). A line that breaks one is a
   dead letter: the line itself, and the first rule it broke in the fields' order. 1% of the lines are bad, of 14 kinds.
2. `email` is replaced by its HMAC-SHA256, of which 128 bits are kept.
3. Good rows are grouped by country and kind in windows of 60 s of event time: count, sum and largest amount.
4. Rows, aggregates and dead letters are written as Parquet (zstd) in `rows/`, `aggregates/` and `dead_letters/`.
"""
