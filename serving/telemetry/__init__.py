"""What the service measures: metrics, shadows, the log, traces."""
