"""What the world itself says of a step's work, and what is left behind: no word of the runbook counts."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from processes import name_of
from world import World

_SETTLE = 10.0  # seconds in which the children of a step that has ended must have ended, too
_OURS = {"Pod": {"buildkitd"}, "Secret": set(), "ConfigMap": {"buildkitd-config", "kube-root-ca.crt"}}


def builder_answers(world: World) -> bool:
    """Whether the daemon in a Ready pod answers, and runs in the container that the kubelet calls Ready.

    After a daemon was killed and begun anew, the pod is Ready for a moment by what was said of the old one.
    """
    words = ("-n", world.namespace, "get", "pod", "buildkitd", "-o", "json")
    found = world.kubectl(*words, check=False)
    status = json.loads(found.stdout)["status"] if found.returncode == 0 else {}
    containers = status.get("containerStatuses") or []
    if not containers or not all(c["ready"] for c in containers):
        return False
    name = containers[0]["containerID"].partition("//")[2]
    if not any(name in _cgroup(p.pid) for p in world.daemons("buildkitd")):  # there may be other builders
        return False
    asked = ("-n", world.namespace, "exec", "buildkitd", "--", "buildctl", "debug", "workers")
    return world.kubectl(*asked, check=False).returncode == 0


def _cgroup(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return ""


def is_served(world: World, number: int) -> bool:
    """Whether distribution itself, behind the double, has the tag; the journal has the digest."""
    values = world.parameters(number)
    facts: dict[str, Any] = {}
    lines = [line for journal in world.journals(number) for line in journal.read_text().splitlines()]
    for entry in (json.loads(line) for line in lines if line.endswith("}")):
        facts |= entry["data"] if entry["kind"] == "fact" else {}
    served = world.storage.digest_of(values["tags"][0])
    return bool(served) and served == facts.get("pushed_digest")


def has_login(world: World, registry: str) -> bool:
    """Whether docker's config holds just the login that was given."""
    path = world.folder / "docker_config" / "config.json"
    if not path.exists():
        return False
    auth = json.loads(path.read_text()).get("auths", {}).get(registry, {}).get("auth", "")
    return base64.b64decode(auth).decode() == f"{world.env['REGISTRY_USERNAME']}:{world.token}"


def has_buildctl(world: World) -> bool:
    """Whether each buildctl that was stored is, byte by byte, the one in the builder's container."""
    found = [p for p in (world.folder / "bin_dir").glob("*/buildctl") if p.is_file()]
    stored = {hashlib.sha256(p.read_bytes()).hexdigest() for p in found}
    return stored == {world.buildctl_digest}


def _is_pod_missing(world: World) -> bool:
    """Whether the API server answers, and says that there is no builder."""
    words = ("-n", world.namespace, "get", "pod", "buildkitd", "--ignore-not-found", "-o", "name")
    asked = world.kubectl(*words, check=False)
    return asked.returncode == 0 and not asked.stdout.strip()


def is_there_at_once(world: World, step: str, number: int, registry: str) -> bool:
    """Whether nothing says that the work of a step that has just ended is missing."""
    if step == "install_pod":
        return not _is_pod_missing(world)
    return stands(world, step, number, registry)


def stands(world: World, step: str, number: int, registry: str) -> bool:
    """Whether what a step made is there, asked of the cluster, the registry's storage and the files."""
    if step == "install_pod":
        return builder_answers(world)
    if step == "configure_auth":
        return has_login(world, registry)
    return has_buildctl(world) if step == "fetch_buildctl" else is_served(world, number)


def survivors(world: World, number: int) -> list[str]:
    """Processes of a case that are still there some seconds after its step has ended."""
    deadline = time.monotonic() + _SETTLE
    while (found := world.marked(number)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return [f"process {name_of(p)}, {_SETTLE:.0f} s after the end" for p in found]


def left_over(world: World, number: int) -> list[str]:
    """Processes, objects in the cluster and temporary files of a case that should be gone."""
    found = [f"process {name_of(p)}" for p in world.marked(number)]
    for kind, ours in _OURS.items():
        words = ("-n", world.namespace, "get", kind.lower(), "-o", "jsonpath={.items[*].metadata.name}")
        names = set(world.kubectl(*words).stdout.split())
        found += [f"{kind} {name}" for name in sorted(names - ours)]
        for name in names - ours:  # it is told once
            world.kubectl("-n", world.namespace, "delete", kind.lower(), name, "--now")
    temporary: Iterable[Any] = (
        *(world.folder / "bin_dir").glob(".fetch-*"),
        *(world.folder / "docker_config").glob(".*.tmp.*"),
        *(world.folder / "tmp").iterdir(),
        *(world.folder / "home").rglob("core*"),
        *(world.folder / "home").rglob("kernel-*.json"),
    )
    for path in temporary:
        found.append(str(path.relative_to(world.folder)))
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return found
