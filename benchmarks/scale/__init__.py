"""How cost grows: with groups, columns and bad rows, and what two workers gain."""
