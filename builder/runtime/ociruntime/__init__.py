"""Containers for other runtimes (runc, crun, ...): bundles, and running through such a program.

Spec: OCI runtime-spec config.md, config-linux.md, runtime.md; image-spec conversion.md.
"""
