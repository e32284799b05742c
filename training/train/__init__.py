"""The training of a network, epoch by epoch."""
