"""The distribution client."""
