"""Asking buildkitd, inside its own Pod, whether it works and which version it is.

The source document says `buildctl … info`; at BuildKit v0.34 that is a subcommand of debug: `buildctl
debug info` prints the daemon's version, `buildctl debug workers` lists the workers.
"""

from __future__ import annotations

import json
import re

from runbook_lib.cluster import objects
from runbook_lib.cluster.api_errors import INSTALL
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.pods import ExecResult, exec_in_pod
from runbook_lib.errors import PodNotReadyError

_VERSION = re.compile(r"BuildKit:\s+\S+\s+(\S+)")
_SECONDS = 30.0


def workers(cluster: Cluster, pod: str) -> list[dict[str, object]]:
    """The daemon's workers as it reports them: `id`, `platforms`, `labels` and more.

    Raises:
        PodNotReadyError: buildctl fails in the Pod, or there is no worker.
        ClusterError: no exec.
    """
    command = ["buildctl", "debug", "workers", "--format", "{{json .}}"]
    answer = _run(cluster, pod, command)
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
    match = _VERSION.search(_run(cluster, pod, ["buildctl", "debug", "info"]).stdout.decode(errors="replace"))
    return match[1] if match else ""


def _run(cluster: Cluster, pod: str, command: list[str]) -> ExecResult:
    answer = exec_in_pod(cluster, pod, command, _SECONDS)
    if answer.code != 0:
        said = answer.stderr.decode(errors="replace").strip()[-400:]
        raise PodNotReadyError(
            f"`{' '.join(command[:3])}` fails in the Pod (exit code {answer.code}): {said}",
            where=objects.subject(cluster, "Pod", pod),
            remedy="read the Pod's log; run notebook 01 again",
            notebook=INSTALL,
        )
    return answer
