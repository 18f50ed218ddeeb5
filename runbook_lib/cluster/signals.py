"""What a Pod, its containers and its Events say about themselves, as one flat list of signals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runbook_lib.cluster.objects import Json

_HASH = "[bcdfghjklmnpqrstvwxz2456789]"  # Kubernetes' alphabet of generated names (util/rand)


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


def is_over(pod: Json) -> bool:
    """True for a Pod that never runs again: evicted, its node shut down, its time up."""
    return (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded")


def of_pod(pod: Json, stopped: str = "") -> Iterator[Signal]:
    """Signals of one Pod's status: conditions that are not True, container states, a phase that ends it.

    `stopped`: the id of a container that was ended on purpose, to change its image. That it ended is no
    signal, nor that the node backs off after it (as it does where it has run the new image before).
    """
    status = pod.get("status") or {}
    if is_over(pod):
        yield Signal("phase", str(status.get("reason") or status["phase"]), str(status.get("message", "")))
    for c in status.get("conditions") or []:
        if c.get("status") != "True" and c.get("reason"):
            yield Signal("condition", f"{c['type']}/{c['reason']}", str(c.get("message", "")))
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        yield from _of_container(container, stopped)


def _of_container(container: Json, stopped: str) -> Iterator[Signal]:
    last: dict[str, Any] = (container.get("lastState") or {}).get("terminated") or {}
    on_purpose = bool(stopped) and stopped in (last.get("containerID"), container.get("containerID"))
    restarts = int(container.get("restartCount", 0))
    waiting: dict[str, Any] = (container.get("state") or {}).get("waiting") or {}
    if waiting and not (on_purpose and waiting.get("reason") == "CrashLoopBackOff"):
        yield Signal(
            "waiting", str(waiting.get("reason", "")), str(waiting.get("message", "")), max(1, restarts)
        )
    for key in ("state", "lastState"):
        ended: dict[str, Any] = (container.get(key) or {}).get("terminated") or {}
        if ended and not (stopped and ended.get("containerID") == stopped):
            text = f"exit code {ended.get('exitCode')} {ended.get('message', '')}".strip()
            yield Signal("terminated", str(ended.get("reason", "")), text, max(1, restarts))


def of_event(event: Json) -> Signal:
    """One Kubernetes Event (core/v1)."""
    series = event.get("series") or {}
    count = int(event.get("count") or series.get("count") or 1)
    return Signal("event", str(event.get("reason", "")), str(event.get("message", "")), count)


def is_about(event: Json, kind: str, name: str) -> bool:
    """True when the Event is about the builder `name`: its Pod, or its Deployment with what that makes.

    `kind` is that of the settings, pod or deployment. A neighbour called `<name>-run` is not the builder.
    """
    about = event.get("involvedObject") or {}
    seen, called = str(about.get("kind", "")), str(about.get("name", ""))
    if kind == "pod":
        return seen == "Pod" and called == name
    made = {"Deployment": "", "ReplicaSet": f"-{_HASH}{{1,10}}", "Pod": f"-{_HASH}{{1,10}}-{_HASH}{{5}}"}
    return seen in made and re.fullmatch(re.escape(name) + made[seen], called) is not None


def is_current(event: Json, pod: Json | None) -> bool:
    """False for an Event about an earlier Pod of the same name, which was replaced by `pod`."""
    about = event.get("involvedObject") or {}
    return pod is None or about.get("kind") != "Pod" or about.get("uid") == pod["metadata"]["uid"]


def is_stale(signal: Signal, image: str, old_image: str) -> bool:
    """True when the signal is about `old_image`, which `image` replaced in the living Pod.

    The node goes on telling of the old one until it has tried the new one. "" for `old_image`: never.
    """
    return bool(old_image) and _names(signal, old_image) and not _names(signal, image)


def _names(signal: Signal, image: str) -> bool:
    """With or without the registry that the node puts before a short name."""
    return re.search(rf"{re.escape(image)}(?![\w.:@-])", signal.text) is not None


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
