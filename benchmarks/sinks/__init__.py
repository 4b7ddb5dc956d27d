"""Sinks beside what Beam has for their stores, and beside the stores' own bulk tools."""
