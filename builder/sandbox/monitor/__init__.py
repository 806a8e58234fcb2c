"""The monitor of one container: the sandbox server, once it has a container in its charge.

A process of its own with little in it: like `sandbox.child` it imports `builder.kernel`, C modules
and hardly anything of the standard library, since each container that runs pays for it. It copies
output to the log and to whoever is attached, answers requests on the container's socket, starts
further processes in the container, and writes down the container's end.
"""
