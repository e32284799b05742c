"""What the service says of itself: metrics, drift and shadows, the log, traces."""
