"""Where rows end: the lake, its manifest and the finaliser."""
