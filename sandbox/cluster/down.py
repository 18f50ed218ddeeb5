"""Stopping an instance and counting what is left of it."""

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import httpx
import psutil

from sandbox.cluster.api import Api
from sandbox.cluster.cgroups import (
    groups_of,
    processes_in,
    remove_ended_builds,
    remove_groups,
    remove_parents,
)
from sandbox.cluster.host import require_linux_root
from sandbox.cluster.identity import Identity, load_identity
from sandbox.cluster.layout import CNI_FILE, Layout
from sandbox.cluster.mounts import mounts_below, unmount_below
from sandbox.cluster.network import bridge_exists, ports_of, remove_bridge
from sandbox.cluster.processes import end, find_daemons, is_alive, kill
from sandbox.cluster.traces import remove_folder, remove_log_links, remove_plugin_folder
from sandbox.cluster.up import LOCK_WAIT
from sandbox.console import Reporter
from sandbox.errors import LeftoverError, StateError
from sandbox.locks import hold

_PODS_WAIT = 2.0


@dataclass(frozen=True)
class Leftovers:
    """How much of an instance is still there, by kind."""

    processes: int
    mounts: int
    namespaces: int
    interfaces: int
    cgroups: int

    def total(self) -> int:
        """All kinds together."""
        return sum(asdict(self).values())


def down(layout: Layout, reporter: Reporter, *, remove_state: bool = False) -> Leftovers:
    """Stop everything of the instance; `remove_state` also deletes its folder.

    Pods are deleted: bare ones are gone after the next `up`, those of controllers come back. Raises
    LeftoverError when something could not be removed.
    """
    require_linux_root()
    with hold(layout.lock, f"the instance {layout.name}", LOCK_WAIT, reporter):
        identity = _known_identity(layout, damaged_is_none=remove_state)
        if identity:
            _delete_pods(layout, identity)
        containers = container_ids(layout)
        _stop_processes(layout, containers)
        unmount_below(layout.root)
        bridge = identity.bridge if identity else _bridge_in_config(layout)
        if bridge:
            remove_bridge(bridge)
        _retry(lambda: remove_groups(containers), 2.0)
        remove_parents()
        _retry(remove_ended_builds, 2.0)
        left = count_leftovers(layout, identity, containers)
        if left.total():
            raise LeftoverError(
                "something could not be removed", f"{layout.name}: {left}", "Run `down` again."
            )
        remove_log_links(layout)
        remove_plugin_folder()
        remove_folder(layout.root if remove_state else layout.run)
    return left


def _known_identity(layout: Layout, *, damaged_is_none: bool) -> Identity | None:
    """The kept identity. `reset` is the way out of a damaged file, so that must not stop it."""
    try:
        return load_identity(layout)
    except StateError:
        if damaged_is_none:
            return None
        raise


def _bridge_in_config(layout: Layout) -> str:
    """The bridge's name, by the pods' network configuration; empty when that cannot be read either."""
    try:
        return str(json.loads((layout.config / CNI_FILE).read_bytes())["name"])
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def count_leftovers(layout: Layout, identity: Identity | None, containers: set[str]) -> Leftovers:
    """Count what the instance has on this machine right now."""
    mounts = mounts_below(layout.root)
    bridge = identity.bridge if identity else ""
    interfaces = len(ports_of(bridge)) + int(bridge_exists(bridge)) if bridge else 0
    return Leftovers(
        processes=len(find_daemons(layout.root)) + len(_container_processes(containers)),
        mounts=len(mounts),
        namespaces=sum("/netns/" in mount for mount in mounts),
        interfaces=interfaces,
        cgroups=len(groups_of(containers)),
    )


def container_ids(layout: Layout) -> set[str]:
    """The ids of all containers the runtime knows or ever left a bundle or a record of."""
    folders = (
        layout.containerd_state / "io.containerd.runtime.v2.task" / "k8s.io",
        layout.data / "containerd" / "io.containerd.runtime.v2.task" / "k8s.io",
        layout.data / "containerd" / "io.containerd.grpc.v1.cri" / "containers",
        layout.data / "containerd" / "io.containerd.grpc.v1.cri" / "sandboxes",
    )
    return {path.name for folder in folders if folder.is_dir() for path in folder.iterdir()}


def _delete_pods(layout: Layout, identity: Identity) -> None:
    """Delete the pods while the kubelet can still stop them; controllers first, or they would come back."""
    daemons = {d.component: d for d in find_daemons(layout.root) if not d.is_shim}
    if not {"apiserver", "kubelet", "containerd", "etcd"} <= daemons.keys():
        return
    kill([daemons[name].process for name in ("controller-manager", "scheduler") if name in daemons])
    try:
        api = Api(layout, identity)
        try:
            for namespace, name in api.pods():
                api.delete_pod(namespace, name, 1)
            deadline = time.monotonic() + _PODS_WAIT
            while api.pods() and time.monotonic() < deadline:
                time.sleep(0.1)
            # A process that ignores SIGTERM takes longer; its pod must not come back half-deleted.
            for namespace, name in api.pods():
                api.delete_pod(namespace, name, 0)
        finally:
            api.close()
    except (httpx.HTTPError, OSError):
        # The rest is ended by force below, so an API server that fails now does not matter.
        return


def _stop_processes(layout: Layout, containers: set[str]) -> None:
    daemons = find_daemons(layout.root)

    def those(*names: str) -> list[psutil.Process]:
        return [d.process for d in daemons if d.component in names and not d.is_shim]

    kill(those("kubelet", "controller-manager", "scheduler"))
    # Shims before their containers: a living shim reports each death, and the runtime would clean up in vain.
    kill([d.process for d in daemons if d.is_shim])
    kill(_container_processes(containers))
    # The API server keeps nothing itself, and a gentle end takes it seconds.
    kill(those("apiserver"))
    end(those("containerd", "registry", "distribution", "etcd"), 1.5)
    kill([d.process for d in find_daemons(layout.root)])


def _container_processes(containers: set[str]) -> list[psutil.Process]:
    processes = []
    for pid in processes_in(groups_of(containers)):
        with contextlib.suppress(psutil.NoSuchProcess):
            processes.append(psutil.Process(pid))
    return [process for process in processes if is_alive(process)]


def _retry(action: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not action() and time.monotonic() < deadline:
        time.sleep(0.05)
