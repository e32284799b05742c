"""Networks: from raw pixels to logits, and what the exported graph adds."""
