"""The HTTP interface, a blueprint in a file."""
