"""Takes an image out of the store."""
