"""Applying a builder's objects and waiting until it is Ready: installing, upgrading and probing share it."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from runbook_lib.cluster import objects
from runbook_lib.cluster.apply import apply_object
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.manifest import render
from runbook_lib.cluster.pods import candidates
from runbook_lib.cluster.waits import wait_ready
from runbook_lib.plan import Action
from runbook_lib.progress import Sink
from runbook_lib.settings import Settings


@dataclass(frozen=True, slots=True)
class Brought:
    """What was done to each object, by its subject, and the Pod that is Ready."""

    done: tuple[tuple[str, Action], ...]
    pod: objects.Json

    @property
    def name(self) -> str:
        """The Pod's name."""
        return str(self.pod["metadata"]["name"])

    @property
    def changed(self) -> bool:
        """False where everything was as wanted before."""
        return any(action is not Action.NONE for _, action in self.done)


def bring_up(
    cluster: Cluster, settings: Settings, sink: Sink, cancel: threading.Event | None = None
) -> Brought:
    """Bring the builder of these settings to the wanted state and wait until it is Ready.

    Raises:
        ImmutableDriftError, NotOursError, FieldConflictError, ApplyRefusedError: see `apply_object`.
        PodNotReadyError, ClusterWaitError, StepCancelledError: see `wait_ready`.
    """
    before = candidates(cluster, settings)
    done = []
    for wanted in render(settings):
        action = apply_object(
            cluster,
            wanted,
            allow_replace=settings.allow_replace,
            timeout=settings.ready_timeout,
            sink=sink,
        )
        done.append((objects.subject(cluster, wanted["kind"], wanted["metadata"]["name"]), action))
    old = before[0] if action is Action.UPDATE and _restarts(settings, before) else None
    return Brought(tuple(done), wait_ready(cluster, settings, sink, settings.ready_timeout, old, cancel))


def _restarts(settings: Settings, before: list[objects.Json]) -> bool:
    """True when the update changed the image of the living Pod: its container begins anew."""
    if not before or settings.kind != "pod":
        return False
    image = render(settings)[-1]["spec"]["containers"][0]["image"]
    return bool(before[0]["spec"]["containers"][0]["image"] != image)
