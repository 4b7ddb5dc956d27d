"""The demo: every flight that left New York City in 2013, as a small airline's data team would have it."""
