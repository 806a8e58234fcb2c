"""System calls by ctypes: arguments in, OSError out, no policy."""
