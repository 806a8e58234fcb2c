"""Cache records: which key has which result."""
