"""From uploads to predictions, without HTTP and without metrics."""
