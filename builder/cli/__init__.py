"""The command line: click in, text out."""
