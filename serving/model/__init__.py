"""One model file: its card, and the classifier that runs it."""
