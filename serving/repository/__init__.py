"""The model folder, and what happens to it."""
