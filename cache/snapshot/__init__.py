"""Root filesystems as stacks of layers; mounts are handed out as data."""
