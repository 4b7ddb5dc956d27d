"""What the points of W4 are made of."""

FEATURES = [f"x{number}" for number in range(10)]
