"""The lecture's worked examples, recomputed: one file per section of the report."""
