"""The model folder: graph, card, README and plots, published as a whole."""
