"""Containers: bundle, life cycle, commit."""
