"""The pipelines: options and build()."""
