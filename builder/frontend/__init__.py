"""Dockerfile text to build graph, pure: no file is opened and no clock is read."""
