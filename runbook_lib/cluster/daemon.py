"""Asking buildkitd, inside its own Pod, whether it works and which version it is.

The source document says `buildctl … info`; at BuildKit v0.34 that is a subcommand of debug: `buildctl
debug info` prints the daemon's version, `buildctl debug workers` lists the workers.
"""

from __future__ import annotations

import json
import re
from typing import Any

from runbook_lib.cluster import objects
from runbook_lib.cluster.api_refusals import INSTALL
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.pods import ExecResult, exec_in_pod
from runbook_lib.errors import PodNotReadyError

_VERSION = re.compile(r"BuildKit:\s+\S+\s+(\S+)")
_ANSWER = 15.0  # seconds for a question that the daemon answers from memory
_WORK = 120.0  # seconds for what goes through its whole cache


def workers(cluster: Cluster, pod: str) -> list[dict[str, object]]:
    """The daemon's workers as it reports them: `id`, `platforms`, `labels` and more.

    Raises:
        PodNotReadyError: buildctl fails in the Pod, or there is no worker.
        ClusterError: no exec.
    """
    command = ["buildctl", "debug", "workers", "--format", "{{json .}}"]
    answer = _run(cluster, pod, command, _ANSWER)
    where = objects.subject(cluster, "Pod", pod)
    try:
        found = json.loads(answer.stdout)
    except ValueError:
        found = None
    if not isinstance(found, list) or not found:
        raise PodNotReadyError(
            "buildkitd answers, but has no worker",
            where=where,
            remedy="read the Pod's log: no worker could be set up (mode, kernel, mounts)",
            notebook=INSTALL,
        )
    return found


def version(cluster: Cluster, pod: str) -> str:
    """The daemon's version as it states it, such as v0.34.2; "" where its answer has none.

    Raises:
        PodNotReadyError: buildctl fails in the Pod.
    """
    answer = _run(cluster, pod, ["buildctl", "debug", "info"], _ANSWER)
    match = _VERSION.search(answer.stdout.decode(errors="replace"))
    return match[1] if match else ""


def node_user(cluster: Cluster, pod: str) -> int:
    """The user of the node who is root in the Pod: 0 where that is the node's own root.

    Raises:
        PodNotReadyError: it cannot be read in the Pod.
    """
    answer = _run(cluster, pod, ["cat", "/proc/self/uid_map"], _ANSWER)
    fields = answer.stdout.split()
    return int(fields[1]) if len(fields) > 1 else 0


def cache_records(cluster: Cluster, pod: str) -> list[dict[str, Any]]:
    """The records of the daemon's cache as it reports them: `id`, `size` (bytes), `inUse`, `description`.

    Raises:
        PodNotReadyError: buildctl fails in the Pod, or does not answer in JSON.
    """
    return _listed(cluster, pod, ["buildctl", "du", "--format", "{{json .}}"])


def prune(cluster: Cluster, pod: str) -> list[dict[str, Any]]:
    """Remove the records that no build is using; returns those that were removed.

    Raises:
        PodNotReadyError: see `cache_records`.
    """
    return _listed(cluster, pod, ["buildctl", "prune", "--all", "--format", "{{json .}}"])


def _listed(cluster: Cluster, pod: str, command: list[str]) -> list[dict[str, Any]]:
    """The records that `command` prints: as one list (`du`) or one after the other (`prune`), or none."""
    text = _run(cluster, pod, command, _WORK).stdout.decode(errors="replace").strip()
    try:
        # Not splitlines: that would also end a line at characters which JSON leaves as they are.
        values = [json.loads(line) for line in text.split("\n") if line]
    except ValueError as e:
        raise PodNotReadyError(
            f"`{' '.join(command[:2])}` does not answer in JSON: {text[:120]}",
            where=objects.subject(cluster, "Pod", pod),
            remedy="use a newer builder image",
            notebook=INSTALL,
        ) from e
    flat = [r for value in values for r in (value if isinstance(value, list) else [value])]
    return [r for r in flat if isinstance(r, dict)]


def _run(cluster: Cluster, pod: str, command: list[str], seconds: float) -> ExecResult:
    answer = exec_in_pod(cluster, pod, command, seconds)
    if answer.code != 0:
        said = answer.stderr.decode(errors="replace").strip()[-400:]
        raise PodNotReadyError(
            f"`{' '.join(command[:3])}` fails in the Pod (exit code {answer.code}): {said}",
            where=objects.subject(cluster, "Pod", pod),
            remedy="read the Pod's log; run notebook 01 again",
            notebook=INSTALL,
        )
    return answer
