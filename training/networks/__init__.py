"""Networks, from raw pixels to logits, and the graph that is exported around them."""
