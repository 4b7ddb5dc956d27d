"""Scoring rows with a model, and finding rows that are unlike the others."""
