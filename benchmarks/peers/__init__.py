"""What a user would do instead, as its documentation teaches; each file runs alone, in an environment of its own."""
