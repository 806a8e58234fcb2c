"""The build graph: operations, vertices, order, digests."""
