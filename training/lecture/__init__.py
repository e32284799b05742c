"""The lecture's worked examples, rebuilt: a section a file, each with a table of what agrees."""
