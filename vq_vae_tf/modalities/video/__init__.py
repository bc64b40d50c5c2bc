"""Video: frames and the actions between them."""
