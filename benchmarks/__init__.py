"""What the product costs, measured; never part of the tests."""
