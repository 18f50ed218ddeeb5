"""Which clusters could be the target: the contexts of the kubeconfig, each asked, side by side."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from runbook_lib.cluster import objects
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.kubeconfig import context_names
from runbook_lib.errors import ClusterError, RunbookError
from runbook_lib.settings import Settings

_MOST_SECONDS = 5.0  # for a login, and for an answer: a person waits for this list
_SIDE_BY_SIDE = 8


@dataclass(frozen=True, slots=True)
class Target:
    """One context: server address, version and container runtimes of its nodes, or why it is no target.

    `problem` is "" for a reachable cluster; `nodes` is -1 where they may not be listed.
    """

    context: str
    current: bool
    server: str = ""
    version: str = ""
    runtimes: tuple[str, ...] = ()
    nodes: int = -1
    problem: str = ""
    remedy: str = ""


def survey(settings: Settings) -> tuple[Target, ...]:
    """Ask every context of the kubeconfig; what does not log in or answer within a few seconds is given up.

    Raises:
        ContextNotFoundError: there is no kubeconfig, or it cannot be read.
    """
    names, current = context_names(settings)
    limit = min(settings.request_timeout, _MOST_SECONDS)
    wanted = [settings.model_copy(update={"context": n, "request_timeout": limit}) for n in names]
    with ThreadPoolExecutor(_SIDE_BY_SIDE, "survey") as pool:
        return tuple(pool.map(lambda s: _ask(s, s.context == current), wanted))


def _ask(settings: Settings, current: bool) -> Target:
    try:
        cluster = Cluster.bind(settings, plugin_seconds=_MOST_SECONDS)
        version = cluster.version()
    except RunbookError as e:
        return Target(settings.context, current, problem=e.what, remedy=e.remedy)
    try:
        nodes = objects.list_all(cluster, "Node")
    except ClusterError:
        return Target(settings.context, current, cluster.server, version)
    runtimes = {
        str(n.get("status", {}).get("nodeInfo", {}).get("containerRuntimeVersion", "")) for n in nodes
    }
    shown = tuple(sorted(r.replace("://", " ") for r in runtimes if r))
    return Target(settings.context, current, cluster.server, version, shown, len(nodes))
