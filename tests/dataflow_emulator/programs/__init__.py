"""Programs that tests submit, each as `python programs/NAME.py FLAGS…`; the last line of output is JSON."""
