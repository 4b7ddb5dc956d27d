"""W8: real flights, as they come: gzipped JSON Lines, a CSV with other nulls, and what is wrong in them."""
