"""The sandbox server, and the child from clone to execve.

This package runs in a process of its own that starts without `site`. It imports `builder.kernel`,
ctypes and C modules, and neither `typing` nor `dataclasses`, which take longer to import than all
the rest; so its records are plain classes with slots.
"""
