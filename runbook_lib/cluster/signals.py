"""What a Pod, its containers and its Events say about themselves, as one flat list of signals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runbook_lib.cluster.objects import Json


@dataclass(frozen=True, slots=True)
class Signal:
    """One statement: `source` (waiting, terminated, condition, event), `reason`, text and how often."""

    source: str
    reason: str
    text: str
    count: int = 1

    def __str__(self) -> str:
        times = f" (×{self.count})" if self.count > 1 else ""
        return f"{self.reason}: {' '.join(self.text.split())}{times}"


def of_pod(pod: Json) -> Iterator[Signal]:
    """Signals of one Pod's status: conditions that are not True, container states, a failed phase."""
    status = pod.get("status") or {}
    if status.get("phase") == "Failed":
        yield Signal("phase", str(status.get("reason", "Failed")), str(status.get("message", "")))
    for c in status.get("conditions") or []:
        if c.get("status") != "True" and c.get("reason"):
            yield Signal("condition", f"{c['type']}/{c['reason']}", str(c.get("message", "")))
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        yield from _of_container(container)


def _of_container(container: Json) -> Iterator[Signal]:
    restarts = int(container.get("restartCount", 0))
    waiting: dict[str, Any] = (container.get("state") or {}).get("waiting") or {}
    if waiting:
        yield Signal(
            "waiting", str(waiting.get("reason", "")), str(waiting.get("message", "")), max(1, restarts)
        )
    for key in ("state", "lastState"):
        ended: dict[str, Any] = (container.get(key) or {}).get("terminated") or {}
        if ended:
            text = f"exit code {ended.get('exitCode')} {ended.get('message', '')}".strip()
            yield Signal("terminated", str(ended.get("reason", "")), text, max(1, restarts))


def of_event(event: Json) -> Signal:
    """One Kubernetes Event (core/v1)."""
    series = event.get("series") or {}
    count = int(event.get("count") or series.get("count") or 1)
    return Signal("event", str(event.get("reason", "")), str(event.get("message", "")), count)


def is_about(event: Json, name: str) -> bool:
    """True when the Event is about the builder `name`, its ReplicaSet or its Pods."""
    about = str((event.get("involvedObject") or {}).get("name", ""))
    return about == name or about.startswith(f"{name}-")


def summary(pod: Json) -> str:
    """One short line on the state of a Pod for the live view."""
    status = pod.get("status") or {}
    if not (pod.get("spec") or {}).get("nodeName"):
        return "waiting for a node"
    for container in status.get("containerStatuses") or []:
        state = container.get("state") or {}
        if "waiting" in state:
            return f"container waiting: {state['waiting'].get('reason', '?')}"
        if "terminated" in state:
            return f"container ended: {state['terminated'].get('reason', '?')}"
        if "running" in state:
            return "ready" if container.get("ready") else "container runs, daemon not answering yet"
    return f"phase {status.get('phase', '?')}"
