"""Does one step of a build on this machine."""
