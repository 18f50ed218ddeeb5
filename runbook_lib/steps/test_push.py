"""Step 4: build an image, push it, and prove that the registry serves what was built."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from runbook_lib.builder import buildctl
from runbook_lib.builder.buildctl import POD_VARIABLE
from runbook_lib.builder.cache_guard import set_aside_broken
from runbook_lib.builder.resume import build_or_resume
from runbook_lib.cluster.run_image import run_image
from runbook_lib.errors import LoginRefusedError, PushNotProvenError, RunbookError, StepCancelledError
from runbook_lib.findings import Finding, Findings, Status
from runbook_lib.plan import Action, Change, Plan
from runbook_lib.registry.logins import encode_auth
from runbook_lib.registry.read_back import prove_push
from runbook_lib.registry.reference import Reference
from runbook_lib.steps import by_hand
from runbook_lib.steps.builder_access import builder_of, planned_builder
from runbook_lib.steps.contract import Step
from runbook_lib.steps.push_request import (
    SAMPLE_OUTPUT,
    client_of,
    guarded,
    login_of,
    references_of,
    request_of,
)

_AUTH = "02_configure_auth.ipynb"
_RESUMED = Finding(
    Status.WARN,
    "connection to the builder",
    "it was lost in mid-build; the build was begun again and went on from the builder's cache",
    remedy="if this happens often, look at the builder's restarts and the route to the cluster (notebook 90)",
)
_NO_PULL = Finding(
    Status.BLOCKED,
    "run of the image",
    "the docker config holds an identity token for this registry, with which the cluster cannot pull",
    remedy="give a user name and a token (registry_username, registry_credential) and apply notebook 02, or"
    " set run_image to false",
    notebook=_AUTH,
)


class TestPush(Step):
    """Build and push with buildctl, read back every tag, and run the image where that is asked for."""

    __test__ = False  # the name begins with Test; pytest must not collect it
    name: ClassVar[str] = "test_push"
    notebook: ClassVar[str] = "04_test_push.ipynb"
    title: ClassVar[str] = "Build, push and prove it"

    def _check(self) -> Findings:
        found: list[Finding] = []
        for look in (self._check_builder, self._check_request, self._check_login):
            try:
                found += look()
            except RunbookError as e:
                found.append(Finding.of_error(e, e.where or look.__name__.removeprefix("_check_")))
        return Findings(found)

    def _check_builder(self) -> list[Finding]:
        builder, pod, _ = builder_of(self.settings, self.cluster, self.journal)
        ours, daemon = buildctl.client_version(builder.buildctl), builder.daemon_version()
        return [
            Finding(Status.OK, f"pod {pod}", f"the daemon answers and is {daemon}"),
            buildctl.skew(ours, daemon),
        ]

    def _check_request(self) -> list[Finding]:
        request = request_of(self.settings)
        found = Finding(Status.OK, "build context", f"{request.context}, {request.dockerfile.name}")
        return [found, *guarded(self.settings, request, self.journal, ask=False)]

    def _check_login(self) -> list[Finding]:
        host = references_of(self.settings)[0].host
        login = login_of(self.settings, host)
        if login is None:
            raise LoginRefusedError(
                "the docker config has no login for this registry",
                where=host,
                remedy="run notebook 02",
                notebook=_AUTH,
            )
        if login.is_identity_token and self.settings.run_image:
            return [replace(_NO_PULL, status=Status.WARN, subject=f"login for {host}")]
        return [Finding(Status.OK, f"login for {host}", "is in the docker config")]

    def _plan(self) -> Plan:
        request = request_of(self.settings)
        guarded(self.settings, request, self.journal, ask=False)
        builder, kubectl_path = planned_builder(self.settings, self.cluster, self.journal)
        asked = by_hand.pod_variable_line(self.settings, self.cluster)
        commands = (
            *by_hand.link_lines(kubectl_path, builder.kubectl_folder or kubectl_path.parent),
            *builder.setup_lines(),
            *((asked,) if POD_VARIABLE in builder.address else ()),
            builder.command_line("debug", "info"),
            builder.command_line(*request.arguments()),
        )
        pushed = "\n".join(f"+{reference}" for reference in request.references)
        return Plan([Change(Action.RUN, f"build of {request.context}", pushed, commands)])

    def _apply(self) -> Findings:
        request = request_of(self.settings)
        caches = guarded(self.settings, request, self.journal, ask=True)
        builder, _, _ = builder_of(self.settings, self.cluster, self.journal)
        if self.settings.local_cache:
            set_aside_broken(Path(self.settings.local_cache).expanduser())
        done = build_or_resume(
            builder,
            request,
            sink=self.emit,
            build_timeout=self.settings.build_timeout,
            stall_timeout=self.settings.stall_timeout,
            cancel=self.cancelled,
        )
        self.journal.fact(
            self.name,
            pushed_reference=request.references[0],
            pushed_references=list(request.references),
            pushed_digest=done.digest,
            build_vertices=done.vertices,
            build_seconds=done.seconds,
        )
        message = (
            f"built and pushed in {done.seconds:.1f} s; {done.cached} of {len(done.vertices)} steps CACHED"
        )
        pushed = Finding(Status.OK, request.references[0], message, done.digest)
        return Findings([*caches, *([_RESUMED] if done.resumed else []), pushed])

    def _verify(self) -> Findings:
        digest = str(self.journal.look_up("pushed_digest", ""))
        references = references_of(self.settings)
        recorded = self.journal.look_up("pushed_references", [])
        if not digest or [str(r) for r in references] != recorded:
            raise PushNotProvenError(
                "no build with these tags is in the journal",
                where=str(references[0]),
                remedy="apply this step first",
                notebook=self.notebook,
            )
        with client_of(self.settings, references[0].host) as client:
            proof = prove_push(
                client,
                references[0],
                digest,
                also=references[1:],
                request_timeout=self.settings.request_timeout,
                go_on=self._stop_if_cancelled,
            )
        found = list(proof)
        if self.settings.run_image:
            found.append(self._ran(references[0], digest))
        return Findings(found)

    def _ran(self, reference: Reference, digest: str) -> Finding:
        login = login_of(self.settings, reference.host)
        image = f"{reference.name}@{digest}"
        if login is not None and login.is_identity_token:
            return replace(_NO_PULL, subject=f"run of {image}")  # a kubelet knows no refresh tokens
        auths = {reference.host: {"auth": encode_auth(login)}} if login else {}
        expected = self.settings.expected_output or ("" if self.settings.context_dir else SAMPLE_OUTPUT)
        try:
            output = run_image(self.cluster, self.settings, image, {"auths": auths}, self.cancelled)
        except StepCancelledError:
            raise
        except RunbookError as e:
            return Finding.of_error(e, f"run of {image}")
        if expected not in output:
            message = f"it does not print {expected!r}"
            return Finding(
                Status.FAIL, f"run of {image}", message, output[-300:], "check the image's command"
            )
        return Finding(Status.OK, f"run of {image}", "the Pod ended well", output[-300:].strip())
