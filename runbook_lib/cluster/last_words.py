"""What a container said last: the log of one that ended is still there for a while."""

from __future__ import annotations

from runbook_lib.cluster.api_errors import explained
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.labels import CONTAINER
from runbook_lib.errors import ClusterError, PermissionMissingError


def last_words(cluster: Cluster, pod: str, lines: int = 8, *, running: bool = False) -> str:
    """The last log lines of the container that ended, else of the one that runs; "(no log)" without any.

    With `running` those of the one that runs come first: what an earlier one said is past.
    """
    for previous in (False, True) if running else (True, False):
        try:
            with explained(cluster.server, f"log of {pod}"):
                text = cluster.core.read_namespaced_pod_log(
                    pod, cluster.namespace, container=CONTAINER, tail_lines=lines, limit_bytes=8000,
                    previous=previous, _request_timeout=cluster.request_timeout,
                )  # fmt: skip
        except PermissionMissingError as e:
            return f"(the log cannot be read: {e.what})"
        except ClusterError:
            continue
        if text:
            return str(text).strip()
    return "(no log)"
