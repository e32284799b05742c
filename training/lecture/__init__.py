"""The worked examples of an introductory lecture on deep learning, recomputed: one file per section of the report."""
