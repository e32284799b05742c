"""Data sets in memory: where they come from and how their files are read."""
