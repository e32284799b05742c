"""The service's measurements of itself: metrics, shadows, the log, traces."""
