"""W6, Nexmark: queries about the events of an auction house, as Beam has them in Python.

`apache_beam.testing.benchmarks.nexmark` comes with queries, models and a parser, but without the generator of events,
which Beam has in Java; `data.py` makes them after its rules. Beam's queries are run as they are, in batch; ours are the
same ones written with this package's transforms in a Beam job, and DuckDB's are what both have to agree with.
"""
