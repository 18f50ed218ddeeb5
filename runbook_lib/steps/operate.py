"""Step 90: what runs and what it uses; and, where asked for, its unused cache removed, after a preview."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import humanize

from runbook_lib.cluster import daemon, objects, precheck
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.pods import builder_pod
from runbook_lib.cluster.waits import last_words
from runbook_lib.errors import RunbookError
from runbook_lib.findings import Finding, Findings, Status
from runbook_lib.plan import Action, Change, Plan
from runbook_lib.steps.contract import Step

_SHOWN = 30  # records of the cache that a preview names one by one
_LOG_LINES = 20


class Operate(Step):
    """Look after a living builder: state, versions, log, disk used by its cache, pruning."""

    name: ClassVar[str] = "operate"
    notebook: ClassVar[str] = "90_operate.ipynb"
    title: ClassVar[str] = "Look after the builder"

    @cached_property
    def cluster(self) -> Cluster:
        """The bound cluster."""
        return Cluster.bind(self.settings)

    @cached_property
    def _pod(self) -> str:
        return builder_pod(self.cluster, self.settings)

    def _check(self) -> Findings:
        try:
            found = [precheck.target(self.cluster)]
        except RunbookError as e:
            return Findings([Finding.of_error(e, "target")])
        cluster, settings = self.cluster, self.settings
        found += precheck.tried(lambda: precheck.permissions(cluster, settings, self.name), "permissions")
        found += precheck.tried(self._state, "builder")
        found += precheck.tried(self._cache, "cache")
        found += precheck.tried(self._log, "log")
        return Findings(found)

    def _plan(self) -> Plan:
        unused = self._unused() if self.settings.prune else []
        subject = f"cache of Pod {self.cluster.namespace}/{self._pod}"
        if not unused:
            return Plan([Change(Action.NONE, subject)])
        lines = [f"-{_size([r]):>10}  {_label(r)}" for r in unused[:_SHOWN]]
        lines += [f" and {len(unused) - _SHOWN} more"] if len(unused) > _SHOWN else []
        command = (
            f"kubectl --context={self.cluster.context} --namespace={self.cluster.namespace} "
            f"exec {self._pod} --container=buildkitd -- buildctl prune --all"
        )
        return Plan([Change(Action.DELETE, f"{subject}: {_size(unused)}", "\n".join(lines), (command,))])

    def _apply(self) -> Findings:
        subject = f"cache of Pod {self.cluster.namespace}/{self._pod}"
        if not self.settings.prune:
            return Findings([Finding(Status.SKIP, subject, "it stays (prune removes what no build uses)")])
        gone = daemon.prune(self.cluster, self._pod)
        return Findings([Finding(Status.OK, subject, f"{len(gone)} records removed, {_size(gone)} freed")])

    def _verify(self) -> Findings:
        found = self._state()
        left = self._unused() if self.settings.prune else []
        if left:
            message = f"{_size(left)} that no build uses are still there"
            found.append(
                Finding(Status.FAIL, "cache", message, _label(left[0]), "a build may have run: again")
            )
        return Findings([*found, *self._cache()])

    def _state(self) -> list[Finding]:
        pod = objects.read(self.cluster, "Pod", self._pod) or {}
        subject = f"Pod {self.cluster.namespace}/{self._pod}"
        container = (pod.get("status", {}).get("containerStatuses") or [{}])[0]
        restarts = int(container.get("restartCount", 0))
        node, image = pod.get("spec", {}).get("nodeName", "?"), container.get("image", "?")
        status = Status.WARN if restarts else Status.OK
        message = f"Ready on {node}, {restarts} restarts"
        found = [Finding(status, subject, message, str(image), "read its log below: it ended before")]
        workers = daemon.workers(self.cluster, self._pod)
        version = daemon.version(self.cluster, self._pod)
        message = f"{version or 'version not stated'}, {len(workers)} worker(s)"
        found.append(
            Finding(Status.OK, "buildkitd", message, ", ".join(str(w.get("id", "")) for w in workers))
        )
        return found

    def _cache(self) -> list[Finding]:
        records = daemon.cache_records(self.cluster, self._pod)
        unused = [r for r in records if not r.get("inUse")]
        message = f"{_size(records)} in {len(records)} records; {_size(unused)} are in no build's use"
        return [Finding(Status.OK, "cache", message)]

    def _log(self) -> list[Finding]:
        text = last_words(self.cluster, self._pod, _LOG_LINES)
        bad = [line for line in text.splitlines() if "level=error" in line or "level=fatal" in line]
        status = Status.WARN if bad else Status.OK
        message = f"{len(bad)} errors in the last {_LOG_LINES} lines" if bad else "no error in its last lines"
        return [
            Finding(status, "log", message, "\n".join(bad or text.splitlines()[-3:]), "read what they name")
        ]

    def _unused(self) -> list[dict[str, Any]]:
        return [r for r in daemon.cache_records(self.cluster, self._pod) if not r.get("inUse")]


def _size(records: list[dict[str, Any]]) -> str:
    return str(humanize.naturalsize(sum(int(r.get("size") or 0) for r in records)))


def _label(record: dict[str, Any]) -> str:
    return f"{record.get('recordType', '')}: {record.get('description', '')}".strip(": ")
