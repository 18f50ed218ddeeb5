"""Step 3: bring buildctl, in the daemon's own version, and kubectl to this machine, and prove they work."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import ClassVar

from runbook_lib.builder import buildctl, kubectl, kubectl_release, platforms, sources
from runbook_lib.builder.store import Fetched, Store
from runbook_lib.cluster.pods import builder_pod, exec_in_pod
from runbook_lib.errors import BuilderError, PodNotReadyError, RunbookError, SourceError
from runbook_lib.findings import Finding, Findings, Status
from runbook_lib.plan import Action, Change, Plan
from runbook_lib.progress import Event
from runbook_lib.steps import by_hand
from runbook_lib.steps.builder_access import builder_of, planned_pod, wanted_version
from runbook_lib.steps.contract import Step


class FetchBuildctl(Step):
    """Fetch buildctl (pod, PATH, file or release) and kubectl; verify that they talk to the daemon."""

    name: ClassVar[str] = "fetch_buildctl"
    notebook: ClassVar[str] = "03_fetch_buildctl.ipynb"
    title: ClassVar[str] = "Fetch buildctl"

    @cached_property
    def store(self) -> Store:
        """The folder of fetched binaries."""
        return Store(self.settings)

    def _check(self) -> Findings:
        found: list[Finding] = []
        try:
            pod = builder_pod(self.cluster, self.settings)
            found.append(Finding(Status.OK, f"pod {pod}", "the builder is Ready"))
            request = self._request(pod)
            found.append(Finding(Status.OK, "daemon", f"buildctl {request.version} is wanted"))
        except RunbookError as e:
            return Findings([*found, Finding.of_error(e, status=Status.BLOCKED)])
        try:
            chosen = sources.given(self.settings)
            where = str(chosen) if chosen else self._offer(request)[1].origin
            found.append(Finding(Status.OK, "buildctl", f"comes from {where}"))
            kubectl_path = kubectl.located(self.settings, self._remembered("kubectl_path"))
            shown = (
                str(kubectl_path) if kubectl_path else kubectl_release.url_of(self.settings, self._release)
            )
            found.append(Finding(Status.OK, "kubectl", f"comes from {shown}"))
        except RunbookError as e:
            found.append(Finding.of_error(e, subject=e.where or "binaries"))
        return Findings(found)

    def _plan(self) -> Plan:
        setup = by_hand.kubectl_setup(self.settings, self.cluster, self.journal, fetch=False)
        return Plan([self._plan_kubectl(), self._plan_buildctl()], setup)

    def _plan_kubectl(self) -> Change:
        found = self._kubectl_here()
        if found is not None:
            return Change(Action.NONE, f"kubectl {found}")
        url = kubectl_release.url_of(self.settings, self._release)
        target = kubectl_release.target(self.settings, self.store, self._release)
        lines = kubectl_release.lines_of(self.settings, self.store, self._release)
        return Change(Action.FETCH, f"kubectl {self._release}", f"from {url}\nto   {target}", lines)

    def _plan_buildctl(self) -> Change:
        chosen = sources.given(self.settings)
        if chosen is not None:
            return Change(Action.NONE, f"buildctl {chosen}")
        try:
            request = self._request(builder_pod(self.cluster, self.settings))
        except PodNotReadyError:  # instruction mode on a bare cluster: what will be there is known
            request = self._planned_request()
        _, offer = self._offer(request)
        if offer.present:
            return Change(Action.NONE, f"buildctl {offer.path}")
        subject = f"buildctl {request.version} for {request.platform}"
        return Change(Action.FETCH, subject, f"from {offer.origin}\nto   {offer.path}", offer.commands)

    def _apply(self) -> Findings:
        fetched: list[str] = []
        kubectl_path, first = self._bring_kubectl(fetched)
        buildctl_path, second = self._bring_buildctl(fetched)
        known = [p for p in self.journal.look_up("fetched_files", []) if isinstance(p, str)]
        self.journal.fact(
            self.name,
            kubectl_path=str(kubectl_path),
            buildctl_path=str(buildctl_path),
            fetched_files=list(dict.fromkeys([*known, *fetched])),
        )
        return Findings([first, second])

    def _bring_kubectl(self, fetched: list[str]) -> tuple[Path, Finding]:
        found = self._kubectl_here()
        if found is not None:
            return found, Finding(Status.OK, "kubectl", f"{found} is used; nothing was fetched")
        with self.store.locked() as folder:
            record = kubectl_release.fetch(self.settings, self.store, self._release, folder, self.emit)
        fetched.append(record.path)
        return Path(record.path), _of_record("kubectl", record, f"fetched {record.version}")

    def _bring_buildctl(self, fetched: list[str]) -> tuple[Path, Finding]:
        chosen = sources.given(self.settings)
        if chosen is not None:
            return chosen, Finding(Status.OK, "buildctl", f"{chosen} is used as it is")
        request = self._request(builder_pod(self.cluster, self.settings))
        refused: dict[str, str] = {}
        number = 0
        while True:
            number, offer = sources.offer(request, refused, number)
            if offer.present or offer.deliver is None:
                return offer.path, Finding(
                    Status.OK, "buildctl", f"{offer.path} is there; nothing was fetched"
                )
            with self.store.locked() as folder:
                try:
                    record = offer.deliver(folder, self.emit)
                except BuilderError as e:  # a store that cannot be written is no fault of one source
                    self.emit(Event("buildctl", f"nothing comes from {offer.origin}: {e.what}"))
                    refused[offer.source] = e.what
                    number += 1
                    continue
            fetched.append(record.path)
            tried = "".join(f"; {source} refused: {why}" for source, why in refused.items())
            message = f"fetched {record.version} from {offer.origin}{tried}"
            return Path(record.path), _of_record("buildctl", record, message)

    def _verify(self) -> Findings:
        if kubectl_release.platform_of(self.settings) != platforms.this_machine():
            path = Path(str(self.journal.look_up("buildctl_path", "")))
            record = self.store.look(path)
            status = Status.OK if record else Status.FAIL
            message = "its bytes have the recorded sha256; it is for another platform, so it is not run here"
            return Findings([Finding(status, str(path), message if record else "it is not there or altered")])
        builder, pod, kubectl_path = builder_of(self.settings, self.cluster, self.journal)
        ours = buildctl.client_version(builder.buildctl)
        version = kubectl.client_version(kubectl_path, builder.environment())
        daemon = builder.daemon_version()
        workers = builder.workers()
        self.journal.fact(self.name, daemon_version=daemon, builder_pod=pod)
        return Findings(
            [
                Finding(Status.OK, "buildctl", f"{builder.buildctl} runs and is {ours}"),
                buildctl.skew(ours, daemon),
                kubectl.skew(version, self.cluster.version()),
                Finding(
                    Status.OK,
                    "debug workers",
                    f"{len(workers)} worker answers through {builder.address}",
                    ", ".join(str(w.get("id", "")) for w in workers),
                ),
            ]
        )

    # -- what the verbs share -------------------------------------------------------------------
    @cached_property
    def _release(self) -> str:
        return self.settings.kubectl_version or kubectl_release.release_of(self.cluster.version())

    def _remembered(self, fact: str) -> str:
        return str(self.journal.look_up(fact, ""))

    def _kubectl_here(self) -> Path | None:
        if kubectl_release.platform_of(self.settings) == platforms.this_machine():
            found = kubectl.located(self.settings, self._remembered("kubectl_path"))
            if found is not None:
                return found
        target = kubectl_release.target(self.settings, self.store, self._release)
        return target if self.store.look(target) else None

    def _request(self, pod: str) -> sources.Request:
        def in_pod(command: list[str], timeout: float) -> tuple[int, bytes, bytes]:
            try:
                done = exec_in_pod(self.cluster, pod, command, timeout)
            except RunbookError as e:
                raise SourceError(e.what, where=e.where, remedy=e.remedy) from e
            return done.code, done.stdout, done.stderr

        version = self.settings.buildctl_version or _daemon_version(in_pod, pod)
        platform = kubectl_release.platform_of(self.settings)
        line = by_hand.exec_words(self.settings, self.cluster, pod)
        return sources.Request(self.settings, self.store, version, platform, pod, in_pod, line)

    def _planned_request(self) -> sources.Request:
        """The request of a plan that is made before there is a Ready pod."""
        version = wanted_version(self.settings, self.journal)
        platform = kubectl_release.platform_of(self.settings)
        pod = planned_pod(self.settings)
        line = by_hand.exec_words(self.settings, self.cluster, pod)
        return sources.Request(self.settings, self.store, version, platform, pod, None, line)

    def _offer(self, request: sources.Request) -> tuple[int, sources.Offer]:
        return sources.offer(request, {})


def _daemon_version(in_pod: sources.PodExec, pod: str) -> str:
    code, out, _ = in_pod(["buildkitd", "--version"], buildctl.QUESTION_SECONDS)
    version = buildctl.version_in(out)
    if code != 0 or not version:
        raise SourceError(
            "the daemon's version is not known",
            where=f"pod {pod}",
            remedy="give buildctl_version",
            notebook="03_fetch_buildctl.ipynb",
        )
    return version


def _of_record(subject: str, record: Fetched, message: str) -> Finding:
    """What was fetched and what it was held against; nothing to hold it against is worth a warning."""
    evidence = f"sha256 {record.sha256}, held against {record.checked}"
    if record.checked.startswith("nothing"):
        return Finding(Status.WARN, subject, message, evidence, f"give {subject}_sha256 to have it checked")
    return Finding(Status.OK, subject, message, evidence)
