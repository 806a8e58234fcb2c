"""Runs one process over a root filesystem, apart from the host."""
