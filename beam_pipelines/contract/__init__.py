"""What a row is: the one description of a data set."""
