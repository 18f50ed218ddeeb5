"""The labels that every object of the runbook carries, and how to tell ours from others'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MANAGED_BY = "app.kubernetes.io/managed-by"
NAME = "app.kubernetes.io/name"
INSTANCE = "app.kubernetes.io/instance"
OWNER = "buildkit-runbook"
CONTAINER = "buildkitd"


def labels(instance: str) -> dict[str, str]:
    """The three labels of builder `instance`."""
    return {MANAGED_BY: OWNER, NAME: CONTAINER, INSTANCE: instance}


def selector(instance: str) -> str:
    """Label selector for everything of builder `instance`."""
    return ",".join(f"{k}={v}" for k, v in labels(instance).items())


def is_ours(obj: Mapping[str, Any]) -> bool:
    """True when the object carries the runbook's managed-by label."""
    return bool((obj.get("metadata", {}).get("labels") or {}).get(MANAGED_BY) == OWNER)
