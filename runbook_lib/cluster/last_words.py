"""What a container said last: the log of one that ended is still there for a while."""

from __future__ import annotations

from typing import Any

from runbook_lib.cluster.api_errors import explained
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.labels import CONTAINER
from runbook_lib.errors import ClusterError, PermissionMissingError


def pod_log(cluster: Cluster, where: str, pod: str, **asked: Any) -> str:  # noqa: ANN401
    """The log of `pod`; `asked` are options of the API. Bytes that are no UTF-8 are replaced.

    The client's own reading refuses these, and `limit_bytes` may cut a character.

    Raises:
        ClusterError: the API server refused or did not answer.
    """
    with explained(cluster.server, where):
        answer = cluster.core.read_namespaced_pod_log(
            pod, cluster.namespace, _preload_content=False, _request_timeout=cluster.request_timeout, **asked
        )
        # Its type is that of the reading client.
        data: bytes = answer.data  # type: ignore[attr-defined]
    return data.decode(errors="replace")


def last_words(cluster: Cluster, pod: str, lines: int = 8, *, running: bool = False) -> str:
    """The last log lines of the container that ended, else of the one that runs; "(no log)" without any.

    With `running` those of the one that runs come first: what an earlier one said is past.
    """
    for previous in (False, True) if running else (True, False):
        try:
            text = pod_log(
                cluster, f"log of {pod}", pod,
                container=CONTAINER, tail_lines=lines, limit_bytes=8000, previous=previous,
            )  # fmt: skip
        except PermissionMissingError as e:
            return f"(the log cannot be read: {e.what})"
        except ClusterError:
            continue
        if text:
            return text.strip()
    return "(no log)"
