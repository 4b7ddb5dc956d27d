"""Rows into tables of BigQuery."""
