"""Batches as Beam elements."""
