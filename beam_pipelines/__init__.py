"""Apache Beam pipelines on Arrow record batches, driven by data contracts."""

__version__ = "0.1.0"
