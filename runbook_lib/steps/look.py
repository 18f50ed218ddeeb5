"""What a living builder says about itself: state, mode, cache and log; for one that is not Ready, why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import humanize

from runbook_lib.cluster import daemon, objects, precheck
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.last_words import last_words
from runbook_lib.cluster.pods import candidates, is_ready
from runbook_lib.cluster.waits import why_not_ready
from runbook_lib.findings import Finding, Status
from runbook_lib.redaction import redact
from runbook_lib.settings import Settings
from runbook_lib.steps import upgrade

_LINES = 20  # of the log that are read
_SHOWN = 8  # lines that are quoted, beside those that tell of errors
_LONGEST = 240  # characters of a line


def builder(cluster: Cluster, settings: Settings) -> list[Finding]:
    """All that is told of the builder, or why it is not Ready, with the last words of its container.

    Raises:
        ClusterError: the API server refused or did not answer.
    """
    pods = candidates(cluster, settings)
    pod = pods[0] if pods else None
    if pod is not None and is_ready(pod):
        name = str(pod["metadata"]["name"])
        asked = not settings.look_only
        found = precheck.tried(lambda: state(cluster, name, ask=asked), "builder")
        found += precheck.tried(lambda: mode(cluster, settings), "mode")
        found += precheck.tried(lambda: cache(cluster, name), "cache") if asked else []
        return found + precheck.tried(lambda: log(cluster, pod), "log")
    found = why_not_ready(cluster, settings)
    found += precheck.tried(lambda: log(cluster, pod), "log") if pod else []
    if pod and settings.upgrade_to:  # another image may be what mends it, so it must not block
        found = [replace(f, status=Status.WARN) if f.status is Status.FAIL else f for f in found]
    return found


def state(cluster: Cluster, name: str, *, ask: bool = True) -> list[Finding]:
    """The Pod `name` and, unless `ask` is False, the daemon in it: its probe says that it answers.

    Raises:
        PodNotReadyError: the daemon does not answer; ClusterError: the API server refused.
    """
    pod = objects.read(cluster, "Pod", name) or {}
    container = (pod.get("status", {}).get("containerStatuses") or [{}])[0]
    restarts = int(container.get("restartCount", 0))
    node, image = pod.get("spec", {}).get("nodeName", "?"), str(container.get("image", "?"))
    status = Status.WARN if restarts else Status.OK
    message = f"Ready on {node}, {restarts} restarts"
    remedy = "a change of its image counts as one; else: kubectl logs --previous"
    found = [Finding(status, objects.subject(cluster, "Pod", name), message, image, remedy)]
    if not ask:
        message = "not asked (look_only); the Pod's own probe says that it answers"
        return [*found, Finding(Status.SKIP, "buildkitd", message)]
    workers = daemon.workers(cluster, name)
    message = f"{daemon.version(cluster, name) or 'version not stated'}, {len(workers)} worker(s)"
    found.append(Finding(Status.OK, "buildkitd", message, ", ".join(str(w.get("id", "")) for w in workers)))
    return found


def mode(cluster: Cluster, settings: Settings) -> list[Finding]:
    """The builder's mode, and what it takes to move it to the one that the settings name."""
    live = upgrade.live_builder(cluster, settings)
    if live.mode == settings.mode or settings.allow_replace:
        return [Finding(Status.OK, "mode", live.mode)]
    message = f"{live.mode}; to move it to {settings.mode}, as the parameter mode says, set allow_replace"
    return [Finding(Status.SKIP, "mode", message)]


def cache(cluster: Cluster, name: str) -> list[Finding]:
    """How much disk the cache uses."""
    records = daemon.cache_records(cluster, name)
    unused = [r for r in records if not r.get("inUse")]
    message = f"{size(records)} in {len(records)} records; {size(unused)} are in no build's use"
    return [Finding(Status.OK, "cache", message)]


def log(cluster: Cluster, pod: objects.Json) -> list[Finding]:
    """The last lines of the container that runs, or of the one that ended, where none does; redacted."""
    text = redact(last_words(cluster, str(pod["metadata"]["name"]), _LINES, running=is_ready(pod)))
    lines = [line[:_LONGEST] for line in text.splitlines()]
    bad = [line for line in lines if "level=error" in line or "level=fatal" in line]
    status = Status.WARN if bad else Status.OK
    message = f"{len(bad)} errors in the last {_LINES} lines" if bad else "no error in its last lines"
    shown = list(dict.fromkeys([*bad, *lines[-_SHOWN:]]))
    return [Finding(status, "log", message, "\n".join(shown), "read what they name")]


def size(records: list[dict[str, Any]]) -> str:
    """The size of cache records in all, for people."""
    return str(humanize.naturalsize(sum(int(r.get("size") or 0) for r in records)))


def label(record: dict[str, Any]) -> str:
    """What a cache record holds."""
    return f"{record.get('recordType', '')}: {record.get('description', '')}".strip(": ")
