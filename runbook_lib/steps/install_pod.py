"""Step 1: a builder Pod (or Deployment) that is Ready and whose daemon answers."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import ClassVar

from runbook_lib.cluster import confinement, daemon, objects, precheck
from runbook_lib.cluster.apply import drift_of, plan_object
from runbook_lib.cluster.bring_up import bring_up
from runbook_lib.cluster.manifest import namespace_of, render
from runbook_lib.cluster.pods import builder_pod, image_of_pod
from runbook_lib.errors import NamespaceMissingError, RunbookError
from runbook_lib.findings import Finding, Findings, Status
from runbook_lib.plan import Action, Change, Plan
from runbook_lib.steps import by_hand
from runbook_lib.steps.contract import Step


class InstallPod(Step):
    """check → plan → apply → verify of the builder in the cluster."""

    name: ClassVar[str] = "install_pod"
    notebook: ClassVar[str] = "01_install_pod.ipynb"
    title: ClassVar[str] = "Install the builder"

    def _check(self) -> Findings:
        try:
            found = [precheck.target(self.cluster)]
        except RunbookError as e:
            return Findings([Finding.of_error(e, "target")])
        settings, cluster = self.settings, self.cluster
        found += precheck.tried(lambda: precheck.namespace(cluster, settings), "namespace")
        found += precheck.tried(lambda: precheck.permissions(cluster, settings, self.name), "permissions")
        found += precheck.tried(lambda: precheck.nodes(cluster, settings), "nodes")
        found += precheck.tried(self._builder, "builder")
        return Findings(found)

    def _builder(self) -> list[Finding]:
        findings = []
        for wanted in render(self.settings):
            drift = drift_of(self.cluster, wanted)
            subject = objects.subject(self.cluster, wanted["kind"], wanted["metadata"]["name"])
            if drift.action is Action.REPLACE and not (drift.ended or self.settings.allow_replace):
                message = "it differs in fields that cannot change in place"
                evidence = "; ".join(str(d) for d in drift.fixed)
                remedy = "set allow_replace, or set the parameters back"
                findings.append(Finding(Status.BLOCKED, subject, message, evidence, remedy, self.notebook))
            else:
                why = f"; {drift.ended}" if drift.ended else ""
                findings.append(Finding(Status.OK, subject, f"to do: {drift.action.value}{why}"))
        return findings

    def _plan(self) -> Plan:
        changes: list[Change] = []
        if objects.read(self.cluster, "Namespace", self.settings.namespace) is None:
            changes.append(self._namespace_change())
        for wanted in render(self.settings):
            changes.append(plan_object(self.cluster, wanted, allow_replace=self.settings.allow_replace))
        changed = [n for n, c in enumerate(changes) if c.action is not Action.NONE]
        if changed:
            last = changes[changed[-1]]
            waits = by_hand.wait_line(self.settings, self.cluster)
            changes[changed[-1]] = replace(last, commands=(*last.commands, waits))
        return Plan(changes, by_hand.kubectl_setup(self.settings, self.cluster, self.journal))

    def _namespace_change(self) -> Change:
        name = self.settings.namespace
        if not self.settings.create_namespace:
            raise NamespaceMissingError(
                "it does not exist",
                where=f"namespace {name}",
                remedy="set create_namespace, or name one that exists",
                notebook=self.notebook,
            )
        command = f"{self.cluster.kubectl_words} create namespace {name}"
        return Change(Action.CREATE, f"Namespace {name}", f"+{name}", (command,))

    def _apply(self) -> Findings:
        settings, found = self.settings, []
        begun = time.monotonic()
        # Before anything is made: whoever cleans up must find it, whatever context is current by then.
        self.journal.fact(self.name, builder_context=self.cluster.kubeconfig and self.cluster.context)
        if settings.create_namespace and objects.read(self.cluster, "Namespace", settings.namespace) is None:
            objects.apply(self.cluster, namespace_of(settings))
            found.append(Finding(Status.OK, f"Namespace {settings.namespace}", Action.CREATE.value))
        brought = bring_up(self.cluster, settings, self.emit, self.cancelled)
        found += [Finding(Status.OK, subject, action.value) for subject, action in brought.done]
        name = brought.name
        took = round(time.monotonic() - begun, 2) if brought.changed else None
        self.journal.fact(
            self.name, builder_pod=name, builder_namespace=settings.namespace, builder_ready_seconds=took
        )
        found.append(Finding(Status.OK, f"Pod {settings.namespace}/{name}", "Ready"))
        found.append(confinement.by_spec(settings, brought.pod))
        return Findings(found)

    def _verify(self) -> Findings:
        pod = builder_pod(self.cluster, self.settings)
        subject = objects.subject(self.cluster, "Pod", pod)
        found = [Finding(Status.OK, subject, "Ready")]
        workers = daemon.workers(self.cluster, pod)
        platforms = ", ".join(_platforms(workers))
        found.append(
            Finding(Status.OK, subject, f"buildkitd answers with {len(workers)} worker(s)", platforms)
        )
        version = daemon.version(self.cluster, pod)
        status = Status.OK if version else Status.WARN
        found.append(Finding(status, "buildkitd", f"version {version or 'not stated'}"))
        live = objects.read(self.cluster, "Pod", pod) or {"spec": {"containers": [{}]}}
        found.append(confinement.by_user(self.cluster, self.settings, live))
        asked, running = image_of_pod(live)
        found.append(_image(asked, running))
        self.journal.fact(
            self.name,
            builder_pod=pod,
            builder_namespace=self.settings.namespace,
            daemon_version=version,
            builder_image=asked,
            builder_image_id=running,
        )
        return Findings(found)


def _image(asked: str, running: str) -> Finding:
    """What runs, by digest: a tag may be moved, so it says how to hold on to this very image."""
    digest = running.rpartition("@")[2]
    if not digest.startswith("sha256:"):
        return Finding(Status.WARN, "image", f"{asked} runs; the node does not tell its digest", running)
    if "@" in asked:
        same = asked.endswith(digest)
        said = "the digest asked for runs" if same else f"the node names {digest} for it"
        return Finding(Status.OK, "image", said, running)
    name, tag = asked.rpartition(":")[::2]
    keep = f"; image={name if '/' not in tag else asked}@{digest} keeps to it" if "@" in running else ""
    return Finding(Status.OK, "image", f"{asked} runs{keep}", running)


def _platforms(workers: list[dict[str, object]]) -> list[str]:
    listed = workers[0].get("platforms")
    items = listed if isinstance(listed, list) else []
    parts = (
        [str(p[k]) for k in ("os", "architecture", "variant") if p.get(k)]
        for p in items
        if isinstance(p, dict)
    )
    return list(dict.fromkeys("/".join(p) for p in parts))
