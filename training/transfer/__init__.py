"""Transfer learning: a published or own network's embeddings, and a small classifier on them."""
