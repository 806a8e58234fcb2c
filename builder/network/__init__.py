"""Networks of containers: what they are, who is on them, and the kernel's part of both."""
