"""The alternatives to this project, as their documentation teaches them; each file runs in its own environment."""
