"""Step 90: what runs and what it can do; where asked for, another version or mode, probes, a prune."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

import humanize

from runbook_lib.cluster import daemon, objects, precheck, removal
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.pods import builder_pod, candidates, is_ready
from runbook_lib.cluster.run_probe import probe_mode, probe_run, probe_settings
from runbook_lib.cluster.waits import last_words, why_not_ready
from runbook_lib.errors import (
    BuilderError,
    ClusterError,
    InvalidParameterError,
    PodNotReadyError,
    RunbookError,
)
from runbook_lib.findings import Finding, Findings, Status
from runbook_lib.plan import Action, Change, Plan
from runbook_lib.redaction import redact
from runbook_lib.settings import Mode, Settings
from runbook_lib.steps import upgrade
from runbook_lib.steps.contract import Step

_SHOWN = 30  # records of the cache that a preview names one by one
_LOG_LINES = 20
_LOG_SHOWN = 8  # lines that the check quotes, beside those that tell of errors
_LINE_LENGTH = 240


class Operate(Step):
    """Look after a living builder: state, versions, log, cache; upgrade it, probe what it can do, prune."""

    name: ClassVar[str] = "operate"
    notebook: ClassVar[str] = "90_operate.ipynb"
    title: ClassVar[str] = "Look after the builder"

    @cached_property
    def cluster(self) -> Cluster:
        """The bound cluster."""
        return Cluster.bind(self.settings)

    @cached_property
    def _probed(self) -> set[str]:
        """What this step has probed already: a probe is a question, and needs no second answer."""
        return set()

    @property
    def _pod(self) -> str:
        return builder_pod(self.cluster, self.settings)

    def _check(self) -> Findings:
        try:
            found = [precheck.target(self.cluster)]
        except RunbookError as e:
            return Findings([Finding.of_error(e, "target")])
        cluster, settings = self.cluster, self.settings
        found += precheck.tried(lambda: precheck.permissions(cluster, settings, self.name), "permissions")
        found += precheck.tried(self._builder, "builder")
        return Findings(found)

    def _builder(self) -> list[Finding]:
        pods = candidates(self.cluster, self.settings)
        if not pods or not is_ready(pods[0]):
            return self._unready(pods)
        found = precheck.tried(self._state, "builder") + precheck.tried(self._mode, "mode")
        return found + precheck.tried(self._cache, "cache") + precheck.tried(self._log, "log")

    def _unready(self, pods: list[objects.Json]) -> list[Finding]:
        """Why it is not Ready, with the last words of its container."""
        found = why_not_ready(self.cluster, self.settings)
        found += precheck.tried(self._log, "log") if pods else []
        if pods and self.settings.upgrade_to:  # another image may be what mends it
            found = [replace(f, status=Status.WARN) if f.status is Status.FAIL else f for f in found]
        return found

    def _upgrade(self) -> tuple[Settings | None, upgrade.Live]:
        live = upgrade.live_builder(self.cluster, self.settings)
        return upgrade.wanted(self.settings, live), live

    def _plan(self) -> Plan:
        new, live = self._upgrade()
        changes = upgrade.plan(self.cluster, new, live) if new else []
        place = f"Pod {self.cluster.namespace}/{self.settings.name}"
        if self.settings.probe_run and "" not in self._probed:
            changes.append(Change(Action.RUN, f"a RUN step in {place}", f"FROM {self.settings.probe_image}"))
        for mode, temporary in self._temporary(live):
            text = f"temporary builder of mode {mode}, FROM {self.settings.probe_image}; removed afterwards"
            subject = objects.subject(self.cluster, "Pod", temporary.name)
            changes += [Change(Action.RUN, subject, text)] if mode not in self._probed else []
        changed = any(c.action is not Action.NONE for c in changes)
        return Plan([*changes, *self._prune_plan(upgrading=changed)])

    def _prune_plan(self, *, upgrading: bool) -> list[Change]:
        if not self.settings.prune:
            return [] if upgrading else [Change(Action.NONE, f"builder {self.settings.name}")]
        try:
            pod = self._pod
        except PodNotReadyError:
            if not upgrading:
                raise
            return [Change(Action.DELETE, f"cache of {self.settings.name}", "what no build uses, once Ready")]
        subject, unused = f"cache of Pod {self.cluster.namespace}/{pod}", self._unused()
        if not unused:
            return [Change(Action.NONE, subject)]
        lines = [f"-{_size([r]):>10}  {_label(r)}" for r in unused[:_SHOWN]]
        lines += [f" and {len(unused) - _SHOWN} more"] if len(unused) > _SHOWN else []
        command = f"{self.cluster.kubectl_words} exec {pod} --container=buildkitd -- buildctl prune --all"
        return [Change(Action.DELETE, f"{subject}: {_size(unused)}", "\n".join(lines), (command,))]

    def _temporary(self, live: upgrade.Live) -> list[tuple[Mode, Settings]]:
        """Each mode to probe, with the settings of its temporary builder: the living one's version.

        Where that is given by a digest, which stands for one mode, the parameter image is used.
        """
        found: list[tuple[Mode, Settings]] = []
        for mode in dict.fromkeys(self.settings.probe_modes):
            try:
                image = upgrade.image_for("", live, mode)
            except InvalidParameterError:
                image = self.settings.image
            found.append((mode, probe_settings(self.settings, mode, image)))
        return found

    def _apply(self) -> Findings:
        new, live = self._upgrade()
        found = self._apply_upgrade(new, live) if new else []
        found += self._probe(live)
        if self.settings.prune:
            pod = self._pod
            gone = daemon.prune(self.cluster, pod)
            message = f"{len(gone)} records removed, {_size(gone)} freed"
            found.append(Finding(Status.OK, f"cache of Pod {self.cluster.namespace}/{pod}", message))
        nothing = Finding(
            Status.SKIP, f"builder {self.settings.name}", "it stays as it is: nothing was asked for"
        )
        return Findings(found or [nothing])

    def _apply_upgrade(self, new: Settings, live: upgrade.Live) -> list[Finding]:
        brought, version = upgrade.apply(self.cluster, new, live, self.emit, self.cancelled)
        found = [Finding(Status.OK, subject, action.value) for subject, action in brought.done]
        place = f"Pod {self.cluster.namespace}/{brought.name}"
        self.journal.fact(
            self.name,
            builder_pod=brought.name,
            builder_namespace=self.settings.namespace,
            daemon_version=version,
        )
        return [*found, Finding(Status.OK, place, f"Ready, buildkitd {version or 'of no stated version'}")]

    def _probe(self, live: upgrade.Live) -> list[Finding]:
        """The running builder must do it; that a mode cannot be used here is an answer, not a failure."""
        found = []
        if self.settings.probe_run:
            pod = self._pod
            probe = probe_run(self.cluster, pod, self.settings.probe_image)
            found.append(Finding(Status.OK, f"RUN in Pod {self.cluster.namespace}/{pod}", str(probe)))
            self._probed.add("")
        for mode, temporary in self._temporary(live):
            subject = f"mode {mode}"
            try:
                said = str(probe_mode(self.cluster, temporary, self.emit, self.cancelled))
                found.append(Finding(Status.OK, subject, said, upgrade.image_of_builder(temporary)))
            except (ClusterError, BuilderError) as e:
                found.append(Finding.of_error(e, subject, Status.WARN))
            self._probed.add(mode)
        return found

    def _verify(self) -> Findings:
        found = self._state()
        new, live = self._upgrade()
        if new:
            found += upgrade.verify(new, live, daemon.version(self.cluster, self._pod))
        for _, temporary in self._temporary(live):
            for left in removal.targets(self.cluster, temporary):
                remedy = "run notebook 90 again, with the same probe_modes"
                found.append(
                    Finding(Status.FAIL, left.subject(self.cluster), "it is still there", "", remedy)
                )
        unused = self._unused() if self.settings.prune else []
        if unused:
            message = f"{_size(unused)} that no build uses are still there"
            found.append(
                Finding(Status.FAIL, "cache", message, _label(unused[0]), "a build may have run: again")
            )
        return Findings([*found, *self._cache()])

    def _state(self) -> list[Finding]:
        name = self._pod
        pod = objects.read(self.cluster, "Pod", name) or {}
        subject = f"Pod {self.cluster.namespace}/{name}"
        container = (pod.get("status", {}).get("containerStatuses") or [{}])[0]
        restarts = int(container.get("restartCount", 0))
        node, image = pod.get("spec", {}).get("nodeName", "?"), container.get("image", "?")
        status = Status.WARN if restarts else Status.OK
        message = f"Ready on {node}, {restarts} restarts"
        found = [
            Finding(
                status,
                subject,
                message,
                str(image),
                "a change of its image counts as one; else: kubectl logs --previous",
            )
        ]
        workers = daemon.workers(self.cluster, name)
        version = daemon.version(self.cluster, name)
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

    def _mode(self) -> list[Finding]:
        live = upgrade.live_builder(self.cluster, self.settings)
        if live.mode == self.settings.mode or self.settings.allow_replace:
            return [Finding(Status.OK, "mode", live.mode)]
        message = (
            f"{live.mode}; to move it to {self.settings.mode}, as the parameter mode says, set allow_replace"
        )
        return [Finding(Status.SKIP, "mode", message)]

    def _log(self) -> list[Finding]:
        """The last lines of the container that runs, or of the one that ended, where none does."""
        pod = candidates(self.cluster, self.settings)[0]
        name = str(pod["metadata"]["name"])
        text = redact(last_words(self.cluster, name, _LOG_LINES, running=is_ready(pod)))
        lines = [line[:_LINE_LENGTH] for line in text.splitlines()]
        bad = [line for line in lines if "level=error" in line or "level=fatal" in line]
        status = Status.WARN if bad else Status.OK
        message = f"{len(bad)} errors in the last {_LOG_LINES} lines" if bad else "no error in its last lines"
        shown = list(dict.fromkeys([*bad, *lines[-_LOG_SHOWN:]]))
        return [Finding(status, "log", message, "\n".join(shown), "read what they name")]

    def _unused(self) -> list[dict[str, Any]]:
        return [r for r in daemon.cache_records(self.cluster, self._pod) if not r.get("inUse")]


def _size(records: list[dict[str, Any]]) -> str:
    return str(humanize.naturalsize(sum(int(r.get("size") or 0) for r in records)))


def _label(record: dict[str, Any]) -> str:
    return f"{record.get('recordType', '')}: {record.get('description', '')}".strip(": ")
