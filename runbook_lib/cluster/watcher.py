"""Following a namespace's Pods and Events in the background, across broken watches."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

import urllib3
from kubernetes import watch
from kubernetes.client.exceptions import ApiException

from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.objects import Json

_PAUSE = 1.0  # seconds before a broken watch begins anew
_WATCH_SECONDS = 20  # one watch request; the next takes over
_FATAL = (401, 403)


class Watcher:
    """Two watches (Pods, Events) that feed one queue until `stop`; each begins anew when it breaks."""

    def __init__(self, cluster: Cluster) -> None:
        self.changes: queue.Queue[tuple[str, Json]] = queue.Queue()
        self._cluster = cluster
        self._stopped = threading.Event()
        core = cluster.core
        for kind, function in (("Pod", core.list_namespaced_pod), ("Event", core.list_namespaced_event)):
            threading.Thread(
                target=self._run, args=(kind, function), daemon=True, name=f"watch {kind}"
            ).start()

    def stop(self) -> None:
        """Tell both threads to end; they do so with their current request, at most 20 s later."""
        self._stopped.set()

    def _run(self, kind: str, function: Callable[..., Any]) -> None:
        since: str | None = None
        while not self._stopped.is_set():
            try:
                since = since or self._newest(function)
                since = self._watch(kind, function, since)
            except ApiException as e:
                since = None  # 410: what we knew is too old; list anew
                if e.status in _FATAL:
                    return  # without the verb watch, the Pod is still read each second
                self._stopped.wait(_PAUSE)
            except (urllib3.exceptions.HTTPError, OSError, ValueError, KeyError):
                since = None
                self._stopped.wait(_PAUSE)

    def _newest(self, function: Callable[..., Any]) -> str:
        listed = function(self._cluster.namespace, limit=1, _request_timeout=self._cluster.request_timeout)
        return str(listed.metadata.resource_version)

    def _watch(self, kind: str, function: Callable[..., Any], since: str) -> str:
        source = watch.Watch()
        for change in source.stream(
            function, self._cluster.namespace, resource_version=since, timeout_seconds=_WATCH_SECONDS,
            _request_timeout=(5, _WATCH_SECONDS + 10),
        ):  # fmt: skip
            self.changes.put((kind, change["raw_object"]))
            if self._stopped.is_set():
                source.stop()
        return str(source.resource_version or since)
