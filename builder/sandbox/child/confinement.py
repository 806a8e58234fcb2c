"""The part of a request that says what of the kernel the process sees and gets set."""

from __future__ import annotations

from builder.sandbox.child.fields import Record


class Confinement(Record):
    """Numbers and text of builder.sandbox.confinement's record."""

    __slots__ = ("apparmor", "masked", "namespaces", "readonly", "selinux", "sysctls")

    def __init__(
        self,
        *,
        masked: tuple[str, ...],
        readonly: tuple[str, ...],
        sysctls: tuple[tuple[str, str], ...],
        apparmor: str,
        selinux: str,
        namespaces: int,
    ) -> None:
        self.masked = masked  # absolute paths
        self.readonly = readonly
        self.sysctls = sysctls
        self.apparmor = apparmor  # "" for none
        self.selinux = selinux
        self.namespaces = namespaces  # CLONE_NEW* of ipc, pid, uts and cgroup that are its own

    def has_own(self, namespace: int) -> bool:
        """Whether the process has its own one of this kind (CLONE_NEW*)."""
        return bool(self.namespaces & namespace)
