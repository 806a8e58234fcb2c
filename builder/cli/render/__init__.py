"""Progress of a build: on a terminal, as plain lines, as JSON lines."""
