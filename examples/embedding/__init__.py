"""One example for each public transform, in a plain row-wise job.

Each is a composite transform: plain `beam.Map`s, and three lines, marked 1, 2 and 3, that bring in ours. Rows are
dicts before and after. `docs/embedding.md` shows all of them; the tests run them in one pipeline.
"""
