"""Starting an instance, or what of it does not run."""

import datetime
import time
from collections.abc import Callable

from sandbox.cluster.api import Api, image_is_served, is_listening, registry_is_ready, serves_kubelet
from sandbox.cluster.cgroups import ensure_controllers
from sandbox.cluster.components import COMPONENTS, Parts, commands
from sandbox.cluster.host import ensure_watches, require_linux_root
from sandbox.cluster.instance import prepare
from sandbox.cluster.layout import Layout
from sandbox.cluster.network import ensure_bridge
from sandbox.cluster.processes import Command, end, find_daemons, is_alive, start
from sandbox.cluster.waiting import wait_for
from sandbox.console import Reporter
from sandbox.locks import hold

LOCK_WAIT = 300.0
_API_WAIT, _NODE_WAIT, _REGISTRY_WAIT, _SOCKET_WAIT = 60.0, 60.0, 20.0, 20.0
# These two give up when the API server is not there yet, so they are started after it has answered.
_EARLY = COMPONENTS[:5]


def up(layout: Layout, reporter: Reporter, binaries: str | None = None) -> dict[str, float]:
    """Bring the instance up and wait until it can be used; returns seconds by milestone.

    What runs already with the same configuration is left alone. Raises WaitTimeoutError and its kin.
    """
    require_linux_root()
    layout.require_plain()
    begun = time.monotonic()
    with hold(layout.lock, f"the instance {layout.name}", LOCK_WAIT, reporter):
        parts = prepare(layout, reporter, binaries)
        timings = {"prepared": time.monotonic() - begun}
        ensure_watches(reporter)
        ensure_controllers(reporter)
        ensure_bridge(parts.identity.bridge, parts.identity.address)
        launch = _Launch(parts, reporter)
        launch.run(begun, timings)
    timings["ready"] = time.monotonic() - begun
    return {name: round(seconds, 2) for name, seconds in timings.items()}


class _Launch:
    """One run of `up`: which components it started, and the waits between them."""

    def __init__(self, parts: Parts, reporter: Reporter) -> None:
        self._parts, self._reporter = parts, reporter
        self._commands = commands(parts)
        self._running = {d.component: d for d in find_daemons(parts.layout.root) if not d.is_shim}
        self._started: dict[str, datetime.datetime] = {}

    def run(self, begun: float, timings: dict[str, float]) -> None:
        """Start what is missing, in order, and wait for each thing that the next one needs."""
        layout, identity = self._parts.layout, self._parts.identity
        for name in _EARLY:
            self._ensure(name)
        api = Api(layout, identity)
        try:
            self._wait("apiserver", "the API server's /readyz", api.ready, _API_WAIT)
            timings["api_ready"] = time.monotonic() - begun
            self._wait("containerd", "containerd's socket", self._runtime, _SOCKET_WAIT)
            for name in COMPONENTS[len(_EARLY) :]:
                self._ensure(name)
            self._wait("registry", "the registry's login", self._registry, _REGISTRY_WAIT)
            self._wait("registry", "the image moby/buildkit in the registry", self._image, _REGISTRY_WAIT)
            self._wait("kubelet", "the node to be Ready", lambda: self._node(api), _NODE_WAIT)
            timings["node_ready"] = time.monotonic() - begun
            account = "/api/v1/namespaces/default/serviceaccounts/default"
            what = "the default ServiceAccount"
            self._wait("controller-manager", what, lambda: api.get(account) is not None, _NODE_WAIT)
        finally:
            api.close()

    def _ensure(self, name: str) -> None:
        command: Command = self._commands[name]
        found = self._running.get(name)
        if found and is_alive(found.process):
            same = found.fingerprint == command.fingerprint
            if same and (name != "containerd" or self._runtime()):
                return
            why = "it does not serve" if same else "its configuration changed"
            self._reporter.line(f"{name}: {why}, restarting it")
            end([found.process], 3.0)
        self._started[name] = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        start(self._parts.layout.root, command)

    def _wait(self, component: str, what: str, check: Callable[[], bool], seconds: float) -> None:
        log = self._commands[component].log
        wait_for(what, check, seconds, log, lambda: self._dead(component))

    def _dead(self, component: str) -> str:
        living = {d.component for d in find_daemons(self._parts.layout.root) if not d.is_shim}
        return "" if component in living else component

    def _runtime(self) -> bool:
        """Whether containerd serves the kubelet: it stays up without that plugin when that fails to load."""
        socket = self._parts.layout.containerd_socket
        return is_listening(socket) and serves_kubelet(self._parts.programs["ctr"], socket)

    def _registry(self) -> bool:
        return registry_is_ready(self._parts.layout, self._parts.identity)

    def _image(self) -> bool:
        return image_is_served(self._parts.layout, self._parts.identity, "moby/buildkit", "v0.34.2")

    def _node(self, api: Api) -> bool:
        """Whether the node is Ready by word of the kubelet that runs now: state kept may say so as well."""
        node = api.get(f"/api/v1/nodes/{self._parts.node}")
        since = self._started.get("kubelet")
        for condition in (node or {}).get("status", {}).get("conditions", []):
            if condition["type"] == "Ready" and condition["status"] == "True":
                beat = datetime.datetime.fromisoformat(condition["lastHeartbeatTime"])
                return since is None or beat >= since
        return False
