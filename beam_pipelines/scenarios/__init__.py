"""Scenarios: streams written down as data, what a pipeline is to make of them, and whether it does."""
