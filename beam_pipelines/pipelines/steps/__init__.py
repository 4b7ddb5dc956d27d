"""Parts of graphs that several pipelines have: what the options of a group do, one module for each group.

A pipeline's `build` strings them together: `read_rows` → `transform_rows` → `write_rows`, `write_aggregates`,
with one `Account` that gathers what the run has to account for.
"""
