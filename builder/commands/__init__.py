"""The use cases, without click and without print."""
