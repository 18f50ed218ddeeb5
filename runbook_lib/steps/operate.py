"""Step 90: what runs and what it can do; where asked for, another version or mode, probes, a prune."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

from runbook_lib.cluster import daemon, objects, precheck, removal
from runbook_lib.cluster.pods import builder_pod
from runbook_lib.cluster.run_probe import probe_mode, probe_run, probe_settings
from runbook_lib.errors import (
    BuilderError,
    ClusterError,
    InvalidParameterError,
    PodNotReadyError,
    RunbookError,
)
from runbook_lib.findings import Finding, Findings, Status
from runbook_lib.plan import Action, Change, Plan
from runbook_lib.settings import Mode, Settings
from runbook_lib.steps import look, upgrade
from runbook_lib.steps.contract import Step

_SHOWN = 30  # records of the cache that a preview names one by one


class Operate(Step):
    """Look after a living builder: state, versions, log, cache; upgrade it, probe what it can do, prune."""

    name: ClassVar[str] = "operate"
    notebook: ClassVar[str] = "90_operate.ipynb"
    title: ClassVar[str] = "Look after the builder"

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
        found += precheck.tried(lambda: look.builder(cluster, settings), "builder")
        return Findings(found)

    def _upgrade(self) -> tuple[Settings | None, upgrade.Live]:
        live = upgrade.live_builder(self.cluster, self.settings)
        return None if self.settings.look_only else upgrade.wanted(self.settings, live), live

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
        lines = [f"-{look.size([r]):>10}  {look.label(r)}" for r in unused[:_SHOWN]]
        lines += [f" and {len(unused) - _SHOWN} more"] if len(unused) > _SHOWN else []
        command = f"{self.cluster.kubectl_words} exec {pod} --container=buildkitd -- buildctl prune --all"
        return [Change(Action.DELETE, f"{subject}: {look.size(unused)}", "\n".join(lines), (command,))]

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
            message = f"{len(gone)} records removed, {look.size(gone)} freed"
            found.append(Finding(Status.OK, f"cache of Pod {self.cluster.namespace}/{pod}", message))
        nothing = "it stays as it is: nothing was asked for"
        return Findings(found or [Finding(Status.SKIP, f"builder {self.settings.name}", nothing)])

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
        pod = self._pod
        if self.settings.look_only:
            return Findings(look.state(self.cluster, pod, ask=False))
        found = look.state(self.cluster, pod)
        new, live = self._upgrade()
        if new:
            found += upgrade.verify(new, live, daemon.version(self.cluster, pod))
        for _, temporary in self._temporary(live):
            remedy = "run notebook 90 again, with the same probe_modes"
            left = [t.subject(self.cluster) for t in removal.targets(self.cluster, temporary) if t.ours]
            found += [Finding(Status.FAIL, subject, "it is still there", "", remedy) for subject in left]
        unused = self._unused() if self.settings.prune else []
        if unused:
            message = f"{look.size(unused)} that no build uses are still there"
            found.append(
                Finding(Status.FAIL, "cache", message, look.label(unused[0]), "a build may have run: again")
            )
        return Findings([*found, *look.cache(self.cluster, pod)])

    def _unused(self) -> list[dict[str, Any]]:
        return [r for r in daemon.cache_records(self.cluster, self._pod) if not r.get("inUse")]
