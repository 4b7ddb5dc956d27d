"""Care of a lake: what is in it, few large files of many small ones, runs taken back, what nobody needs deleted."""
