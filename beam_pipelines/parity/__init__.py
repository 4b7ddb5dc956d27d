"""Parity: whether two runs left the same behind, to the last bit of the last row, whatever their files look like."""
