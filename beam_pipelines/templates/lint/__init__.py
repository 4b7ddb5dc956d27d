"""What is wrong with a template's folder, ours or anybody's, found by reading it: nothing of it is executed."""
