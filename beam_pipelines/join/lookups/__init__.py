"""Stores in which rows are looked up by their keys: asked for many keys at once, with a cache in front."""
