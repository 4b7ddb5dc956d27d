"""BigQuery: where a table is and how to reach it, its types in Arrow, jobs that run once, what errors mean."""
