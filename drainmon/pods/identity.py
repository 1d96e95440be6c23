"""The identity of a pod: its names in Kubernetes, a container runtime or systemd."""

from collections.abc import Mapping
from dataclasses import dataclass

from drainmon.pods.cgroup import Owner


@dataclass(frozen=True)
class Identity:
    """Kubernetes' namespace, name and pod UID, the container ID, the systemd unit; each empty where
    unknown."""

    namespace: str = ""
    name: str = ""
    uid: str = ""
    container_id: str = ""
    unit: str = ""

    @property
    def label(self) -> str:
        """The best known name; empty without any."""
        if self.name:
            return f"{self.namespace}/{self.name}"
        return self.uid or self.container_id or self.unit


Names = Mapping[str, tuple[str, str]]
"""Kubernetes' namespace and name of a pod, by its UID."""


def identify(owner: Owner, names: Names) -> Identity:
    """The identity of a process's owner."""
    namespace, name = names.get(owner.pod_uid or "", ("", ""))
    return Identity(
        namespace, name, owner.pod_uid or "", owner.container_id or "", owner.unit or ""
    )
