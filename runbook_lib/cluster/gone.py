"""The bounded wait for an object that was deleted."""

from __future__ import annotations

import time

from runbook_lib.cluster import objects
from runbook_lib.cluster.binding import Cluster
from runbook_lib.errors import ClusterWaitError
from runbook_lib.progress import Event, Sink


def wait_gone(cluster: Cluster, kind: str, name: str, uid: str, timeout: float, sink: Sink) -> None:
    """Wait until the object with this uid is gone (a newer namesake counts as gone).

    Raises:
        ClusterWaitError: it is still there after `timeout` seconds.
    """
    where = objects.subject(cluster, kind, name)
    begun = time.monotonic()
    pause = 0.1
    while True:
        live = objects.read(cluster, kind, name)
        if live is None or live["metadata"]["uid"] != uid:
            sink(Event(where, f"{where}: gone after {time.monotonic() - begun:.1f} s", done=True))
            return
        if time.monotonic() - begun > timeout:
            held = ", ".join(live["metadata"].get("finalizers") or []) or "its node does not confirm"
            raise ClusterWaitError(
                f"it is still being deleted after {timeout:.0f} s ({held})",
                where=where,
                remedy="look at the node, or raise ready_timeout",
            )
        time.sleep(pause)
        pause = min(1.0, pause * 1.5)
