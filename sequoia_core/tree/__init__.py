"""Token trees: topology, shape families, file formats and layout; needs numpy alone."""
