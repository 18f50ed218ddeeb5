"""Bounded waits that show what happens: Pod changes and Kubernetes Events as they come."""

from __future__ import annotations

import queue
import threading
import time

from runbook_lib.cluster import objects, signals
from runbook_lib.cluster.api_refusals import INSTALL
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.diagnosis import Diagnosis, diagnose
from runbook_lib.cluster.last_words import last_words
from runbook_lib.cluster.objects import Json
from runbook_lib.cluster.pods import candidates, is_ready
from runbook_lib.cluster.watcher import Watcher
from runbook_lib.errors import (
    ClusterError,
    ClusterWaitError,
    PermissionMissingError,
    PodNotReadyError,
    StepCancelledError,
)
from runbook_lib.findings import Finding, Status
from runbook_lib.progress import Event, Sink, silent_sink
from runbook_lib.settings import Settings

_TICK = 1.0  # seconds between looks when no event comes
_STEADY = 1.5  # seconds for which a container begun anew in place must be Ready


class _Wait:
    """State of one wait for a Ready builder."""

    def __init__(self, cluster: Cluster, settings: Settings, sink: Sink, before: Json | None) -> None:
        self.cluster, self.settings, self.sink = cluster, settings, sink
        statuses = ((before or {}).get("status") or {}).get("containerStatuses") or []
        self.old_container = str(statuses[0].get("containerID", "")) if statuses else ""
        self.old_image = str(before["spec"]["containers"][0]["image"]) if before else ""
        self.begun = time.monotonic()
        self.began_at = time.time()
        self.events: dict[str, Json] = {}
        self.line = ""
        self.ready_since: float | None = None

    def age(self) -> float:
        return time.monotonic() - self.begun

    def take(self, kind: str, obj: Json) -> None:
        """Show and keep a Kubernetes Event about the builder; Pods are read again, not remembered."""
        if kind != "Event" or not signals.is_about(obj, self.settings.kind, self.settings.name):
            return
        self.events[str(obj["metadata"]["uid"])] = obj
        self.sink(Event(f"event/{obj['metadata']['uid']}", str(signals.of_event(obj))))

    def pod(self) -> Json | None:
        found = candidates(self.cluster, self.settings)
        line = signals.summary(found[0]) if found else "no Pod yet"
        if line != self.line:
            self.line = line
            self.sink(Event("builder", f"{self.settings.name}: {line} ({self.age():.1f} s)"))
        return found[0] if found else None

    def is_done(self, pod: Json) -> bool:
        statuses = pod.get("status", {}).get("containerStatuses") or []
        changed = not self.old_container or all(s.get("containerID") != self.old_container for s in statuses)
        if not (is_ready(pod) and changed and self._is_rolled_out()):
            self.ready_since = None
            return False
        if self.ready_since is None:
            self.ready_since = time.monotonic()
        # A container begun anew in place is Ready for a moment by what was said of the one before it.
        return not self.old_container or time.monotonic() - self.ready_since >= _STEADY

    def _is_rolled_out(self) -> bool:
        """A Deployment's old Pod stays Ready until its controller has seen the change."""
        if self.settings.kind == "pod":
            return True
        live = objects.read(self.cluster, "Deployment", self.settings.name) or {}
        status, generation = live.get("status") or {}, (live.get("metadata") or {}).get("generation")
        replicas = int(status.get("replicas", 0))
        return status.get("observedGeneration") == generation and (
            1 <= replicas == status.get("updatedReplicas") == status.get("readyReplicas")
        )

    def causes(self, pod: Json | None) -> list[Diagnosis]:
        events = [signals.of_event(e) for e in self.events.values() if signals.is_current(e, pod)]
        seen = [*(signals.of_pod(pod, self.old_container) if pod else ()), *events]
        image = str(pod["spec"]["containers"][0]["image"]) if pod else ""
        fresh = [s for s in seen if not signals.is_stale(s, image, self.old_image)]
        return diagnose(fresh, self.age(), self._node(pod))

    def _node(self, pod: Json | None) -> Json | None:
        name = ((pod or {}).get("spec") or {}).get("nodeName")
        try:
            return objects.read(self.cluster, "Node", name) if name else None
        except PermissionMissingError:
            return None


def wait_ready(
    cluster: Cluster,
    settings: Settings,
    sink: Sink,
    timeout: float,
    before: Json | None = None,
    cancel: threading.Event | None = None,
) -> Json:
    """Wait until the builder's Pod is Ready and return it, showing what happens through `sink`.

    Ends early when a diagnosis is final. `before`: the Pod as it was before its image was changed in
    place; that container's readiness, and what is said of that image, proves nothing.

    Raises:
        PodNotReadyError: a final diagnosis, or time ran out with a diagnosis.
        ClusterWaitError: time ran out and nothing explains why.
        StepCancelledError: `cancel` was set.
        ClusterError: the API server refused or did not answer.
    """
    state = _Wait(cluster, settings, sink, before)
    watcher = Watcher(cluster)
    try:
        pod = state.pod()
        if not (pod and state.is_done(pod)):
            _earlier_events(state, state.began_at - 3)
        while True:
            pod = state.pod()
            if pod and state.is_done(pod):
                sink(Event("builder", f"{settings.name}: Ready after {state.age():.1f} s", done=True))
                return pod
            causes = state.causes(pod)
            if cancel is not None and cancel.is_set():
                what = f"the wait was cancelled after {state.age():.0f} s"
                raise StepCancelledError(what, where=settings.name, remedy="run it again to go on waiting")
            if any(c.final for c in causes) or state.age() > timeout:
                raise _not_ready(state, causes, pod, timeout)
            _next_change(state, watcher)
    finally:
        watcher.stop()


def _next_change(state: _Wait, watcher: Watcher) -> None:
    try:
        state.take(*watcher.changes.get(timeout=_TICK))
        while True:
            state.take(*watcher.changes.get_nowait())
    except queue.Empty:
        return


def _earlier_events(state: _Wait, since: float) -> None:
    """Events from before the first watch; `since` (epoch seconds): of an earlier namesake they are old."""
    try:
        listed = objects.list_all(state.cluster, "Event")
    except PermissionMissingError:
        return
    for event in listed:
        stamp = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"]
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since))
        if str(stamp) >= moment:
            state.take("Event", event)


def _not_ready(state: _Wait, causes: list[Diagnosis], pod: Json | None, timeout: float) -> ClusterError:
    where = objects.subject(state.cluster, "Pod", state.settings.name)
    causes = sorted(causes, key=lambda c: not c.final)
    if not causes:
        return ClusterWaitError(
            f"the builder was not Ready after {timeout:.0f} s ({state.line}), and nothing says why",
            where=where,
            remedy="raise ready_timeout, or look at it: kubectl describe pod",
            notebook=INSTALL,
        )
    first = causes[0].finding
    what = f"{first.message} [{first.evidence}]"
    if causes[0].cause in ("crash-loop", "out-of-memory", "probe") and pod:
        what += f"; its last words: {last_words(state.cluster, str(pod['metadata']['name']))}"
    more = "; ".join(c.finding.message for c in causes[1:])
    what += f"; also: {more}" if more else ""
    return PodNotReadyError(what, where=where, remedy=first.remedy, notebook=INSTALL)


def why_not_ready(cluster: Cluster, settings: Settings) -> list[Finding]:
    """What is known now of why the builder is not Ready, most telling first; at least one finding.

    Raises:
        ClusterError: the API server refused or did not answer.
    """
    state = _Wait(cluster, settings, silent_sink, None)
    pod = state.pod()
    if pod is None:
        message, remedy = "there is no builder", "run notebook 01"
        return [Finding(Status.FAIL, "builder", message, "", remedy, INSTALL)]
    _earlier_events(state, since=0.0)
    found = [d.finding for d in state.causes(pod)]
    message, remedy = f"it is not Ready ({state.line}), and nothing says why yet", "wait, and check again"
    return found or [Finding(Status.FAIL, "builder", message, "", remedy, INSTALL)]
