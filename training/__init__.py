"""Training: from a data set to a graph that carries its own card."""
