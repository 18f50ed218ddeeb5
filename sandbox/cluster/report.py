"""What `status`, `env` and `logs` say about an instance."""

import json
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from sandbox.build import TOOLS, tool_folder
from sandbox.cluster.api import Api, registry_is_ready
from sandbox.cluster.components import COMPONENTS
from sandbox.cluster.identity import Identity, load_identity
from sandbox.cluster.instance import names_of
from sandbox.cluster.layout import Layout
from sandbox.cluster.processes import find_daemons
from sandbox.cluster.registry import NAMESPACE, USERNAME
from sandbox.errors import StateError, UsageError

_FOLLOW_PAUSE = 0.25


@dataclass(frozen=True)
class Status:
    """An instance at one moment; `components` maps a name to pid and RSS in bytes, or None when stopped.

    `memory` is the RSS of all processes, shims included, in bytes.
    """

    instance: str
    components: dict[str, dict[str, int] | None]
    shims: int
    memory: int
    node_ready: bool
    registry_ready: bool
    versions: dict[str, str]
    endpoints: dict[str, str]

    @property
    def healthy(self) -> bool:
        """Whether every component runs and the node and the registry answer as they should."""
        return all(self.components.values()) and self.node_ready and self.registry_ready


def required_identity(layout: Layout) -> Identity:
    """The identity of an instance that has been up. Raises StateError when it has not."""
    identity = load_identity(layout)
    if identity is None or not layout.kubeconfig.exists():
        remedy = f"Run: python -m sandbox up --instance {layout.name}"
        raise StateError("the instance has no state yet", str(layout.root), remedy)
    return identity


def read_status(layout: Layout) -> Status:
    """Look at the processes, the node and the registry; changes nothing."""
    identity = load_identity(layout)
    daemons = find_daemons(layout.root)
    sizes: dict[int, int] = {}
    for daemon in daemons:
        try:
            sizes[daemon.process.pid] = int(daemon.process.memory_info().rss)
        except psutil.Error:
            continue
    main = {d.component: d.process.pid for d in daemons if not d.is_shim and d.process.pid in sizes}
    components = {
        name: {"pid": main[name], "rss": sizes[main[name]]} if name in main else None for name in COMPONENTS
    }
    versions = {name: tool.version for name, tool in TOOLS.items()}
    shims = sum(daemon.is_shim for daemon in daemons)
    memory = sum(sizes.values())
    if identity is None:
        return Status(layout.name, components, shims, memory, False, False, versions, {})
    node, registry = _node_is_ready(layout, identity), _registry_answers(layout, identity)
    return Status(layout.name, components, shims, memory, node, registry, versions, _endpoints(identity))


def _endpoints(identity: Identity) -> dict[str, str]:
    return {
        "apiserver": f"https://127.0.0.1:{identity.ports['apiserver']}",
        "registry": identity.registry,
        "double_admin": f"http://127.0.0.1:{identity.ports['registry-admin']}",
        "subnet": identity.subnet,
    }


def _node_is_ready(layout: Layout, identity: Identity) -> bool:
    try:
        api = Api(layout, identity)
        try:
            node = api.get(f"/api/v1/nodes/{names_of(layout).node}") or {}
        finally:
            api.close()
    except (httpx.HTTPError, OSError):
        return False
    conditions: list[dict[str, Any]] = node.get("status", {}).get("conditions", [])
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def _registry_answers(layout: Layout, identity: Identity) -> bool:
    try:
        return registry_is_ready(layout, identity)
    except (httpx.HTTPError, OSError, ValueError):
        return False


def environment(layout: Layout) -> dict[str, str]:
    """What any user of the cluster needs, by name without prefix. Raises StateError without state."""
    identity = required_identity(layout)
    return {
        "KUBECONFIG": str(layout.kubeconfig),
        "CONTEXT": names_of(layout).context,
        "REGISTRY": identity.registry,
        "REGISTRY_CA": str(layout.registry_ca),
        "REGISTRY_NAMESPACE": NAMESPACE,
        "REGISTRY_USERNAME": USERNAME,
        "REGISTRY_CREDENTIAL": f"file:{layout.admin_token}",
        "DOCKER_CONFIG": str(layout.docker_config),
        "MIRRORS": json.dumps({"docker.io": [identity.registry]}),
        "KUBECTL": str(tool_folder(TOOLS["kubernetes"]) / "bin" / "kubectl"),
        "AUDIT_LOG": str(layout.audit_log),
        "DOUBLE_ADMIN": f"http://127.0.0.1:{identity.ports['registry-admin']}",
    }


# For those who test the sandbox itself; a program that reads `<prefix>…` as its settings must not see them.
_OPERATORS = frozenset({"REGISTRY_NAMESPACE", "AUDIT_LOG", "DOUBLE_ADMIN"})


def prefixed(values: dict[str, str], prefix: str) -> dict[str, str]:
    """The values by full name: with `prefix`, but always `SANDBOX_` for what only operators need."""
    return {f"{'SANDBOX_' if name in _OPERATORS else prefix}{name}": value for name, value in values.items()}


def export_lines(values: dict[str, str]) -> str:
    """The values as lines a POSIX shell can evaluate."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in values.items())


def log_files(layout: Layout, component: str | None) -> list[Path]:
    """The logs of one component or of all. Raises UsageError for an unknown name."""
    if component is not None and component not in COMPONENTS:
        raise UsageError("no such component", component, f"Known are {', '.join(COMPONENTS)}.")
    names = [component] if component else list(COMPONENTS)
    return [path for name in names if (path := layout.logs / f"{name}.log").exists()]


def follow(path: Path) -> Iterator[str]:
    """The lines added to a log from now on, for ever; the caller ends it."""
    with path.open(encoding="utf-8", errors="replace") as stream:
        stream.seek(0, 2)
        while True:
            line = stream.readline()
            if line:
                yield line.rstrip("\n")
            else:
                time.sleep(_FOLLOW_PAUSE)
