"""Step 2: logins where buildctl reads them, on this side, each proven by an upload that is given up."""

from __future__ import annotations

import shlex
from functools import partial
from typing import Any, ClassVar

from runbook_lib.cluster.secrets import apply_dockerconfig_secret, plan_dockerconfig_secret
from runbook_lib.credentials import SecretReader
from runbook_lib.errors import RunbookError
from runbook_lib.findings import Finding, Findings, Status
from runbook_lib.plan import Action, Change, Plan
from runbook_lib.progress import Event
from runbook_lib.registry import other_ways
from runbook_lib.registry.by_hand import commands_for
from runbook_lib.registry.client import RegistryClient
from runbook_lib.registry.config_document import lookup_key
from runbook_lib.registry.docker_config import DockerConfigFile, config_path
from runbook_lib.registry.login import prove_login
from runbook_lib.registry.login_doctor import of_clock, suspicions
from runbook_lib.registry.logins import Login, encode_auth
from runbook_lib.registry.refusal import causes_of_refusal
from runbook_lib.registry.targets import Target, targets_of
from runbook_lib.steps.contract import Step
from runbook_lib.steps.written_logins import remember


class ConfigureAuth(Step):
    """Merges the logins of all registries into docker's config and proves that each may push."""

    name: ClassVar[str] = "configure_auth"
    notebook: ClassVar[str] = "02_configure_auth.ipynb"
    title: ClassVar[str] = "Log in to the registry"

    @property
    def file(self) -> DockerConfigFile:
        """Docker's config file of these settings."""
        return DockerConfigFile(config_path(self.settings))

    def _check(self) -> Findings:
        found: list[Finding] = [self._check_file()]
        for target in self._targets(found):
            found += [self._check_login(target), *self._check_host(target), *self._check_form(target)]
        return Findings(found)

    def _plan(self) -> Plan:
        changes: list[Change] = []
        logins = self._logins(preview=True)
        diff = self.file.preview(logins)
        for target in targets_of(self.settings):
            same = logins[target.host].same_as(self.file.credential_for(target.host))
            action = Action.NONE if same else Action.WRITE
            method = self.settings.auth_method
            lines = commands_for(target, self.file.path, alone=len(logins) == 1, method=method)
            changes.append(Change(action, f"login for {target.host}", "", lines))
        kept = [f"{h}: kept by {helper.program}" for h in logins if (helper := self.file.helper_for(h))]
        text = "\n".join([*([diff] if diff else []), *kept])
        changes.append(Change(Action.UPDATE if diff else Action.NONE, str(self.file.path), text))
        if self.settings.push_secret:
            changes.append(
                plan_dockerconfig_secret(
                    self.cluster, self.settings.push_secret, _document(logins), self.settings.name
                )
            )
        return Plan(changes)

    def _apply(self) -> Findings:
        logins = self._logins()
        ours = {h for h, login in logins.items() if not login.same_as(self.file.credential_for(h))}
        if self.settings.auth_method == "docker":
            for host in ours:
                self.emit(Event(host, f"docker login at {host}"))
                other_ways.docker_login(host, logins[host], self.file.path.parent)
            changed = bool(ours)
        else:
            changed = self.file.merge(logins)
        done = "written" if changed else "already as wanted; nothing was written"
        found = [Finding(Status.OK, str(self.file.path), f"logins for {', '.join(logins)}: {done}")]
        if self.settings.push_secret:
            found.append(self._keep_secret(logins))
        remember(self.journal, self.name, self.file.path, ours)
        return Findings(found)

    def _verify(self) -> Findings:
        found: list[Finding] = []
        for target in targets_of(self.settings):
            try:
                # What buildctl would use, not what the reference says: the file is what is to be proven.
                login = self.file.credential_for(target.host)
                with self._client(target, login) as client:
                    found += prove_login(client, target.repository, partial(self._causes_of, target))
            except RunbookError as e:
                found.append(Finding.of_error(e, f"login at {target.host}"))
        return Findings(found)

    def _causes_of(self, target: Target, client: RegistryClient) -> list[Finding]:
        timeout = self.settings.request_timeout if self.settings.try_user_names else 0.0
        return causes_of_refusal(target, client, self.file.load(), try_for=timeout)

    def _keep_secret(self, logins: dict[str, Login]) -> Finding:
        name = self.settings.push_secret
        action = apply_dockerconfig_secret(self.cluster, name, _document(logins), self.settings.name)
        return Finding(Status.OK, f"Secret {name}", action.value)

    def _logins(self, *, preview: bool = False) -> dict[str, Login]:
        """Every registry's login. A short-lived token is not fetched for a preview where one is kept."""
        logins: dict[str, Login] = {}
        for target in targets_of(self.settings):
            if self.settings.auth_method == "oci" and target.flavor == "ocir":
                kept = self.file.credential_for(target.host) if preview else None
                logins[target.host] = kept or other_ways.oci_login(target.host)
            else:
                logins[target.host] = target.login(self._secret_reader(target))
        return logins

    def _secret_reader(self, target: Target) -> SecretReader | None:
        if not target.reference.startswith("secret:"):
            return None
        return self.cluster.read_secret

    def _client(self, target: Target, login: Login | None) -> RegistryClient:
        return RegistryClient(target.host, login, target.ca, self.settings.request_timeout)

    def _targets(self, found: list[Finding]) -> tuple[Target, ...]:
        try:
            return targets_of(self.settings)
        except RunbookError as e:
            found.append(Finding.of_error(e))
            return ()

    def _check_file(self) -> Finding:
        subject = str(self.file.path)
        try:
            document = self.file.load()
            for target in targets_of(self.settings) if self.settings.registry else ():
                helper = self.file.helper_for(target.host)
                if helper:
                    helper.require()
        except RunbookError as e:
            return Finding.of_error(e, subject)
        count = len(document.get("auths", {}))
        if self.file.is_shared():
            message = "others on this machine can read the logins in it; its mode is kept"
            return Finding(Status.WARN, subject, message, remedy=f"chmod 600 {shlex.quote(subject)}")
        return Finding(Status.OK, subject, f"readable, {count} logins" if document else "not there yet")

    def _check_login(self, target: Target) -> Finding:
        subject = f"login for {target.host}"
        try:
            if self.settings.auth_method == "docker":
                other_ways.require("docker", "use auth_method=file: it needs no program")
            if self.settings.auth_method == "oci" and target.flavor == "ocir":
                other_ways.require("oci", "install the OCI CLI, or use auth_method=file")
            elif target.reference != "prompt":  # a check does not ask anybody
                encode_auth(target.login(self._secret_reader(target)))
        except RunbookError as e:
            return Finding.of_error(e, subject)
        except ValueError as e:
            return Finding(Status.FAIL, subject, str(e), "", "give env:NAME or file:PATH")
        return Finding(
            Status.OK, subject, f"user {target.username or 'BEARER_TOKEN'}, token from {target.reference}"
        )

    def _check_form(self, target: Target) -> list[Finding]:
        """What looks wrong before anything is refused; what cannot be read is said by the other checks."""
        subject = f"login for {target.host}"
        try:
            given = target.reference if self.settings.auth_method != "oci" else ""
            stored = self.file.credential_for(target.host) if not given else None
            asks = given in ("", "prompt")
            login = stored if asks else target.login(self._secret_reader(target))
            found = suspicions(target.host, target.flavor, login, self.file.load(), target.repository)
        except (RunbookError, ValueError):
            return []
        return [s.as_finding(subject) for s in found if s.certain]

    def _check_host(self, target: Target) -> list[Finding]:
        subject = f"registry {target.host}"
        try:
            with self._client(target, None) as client:
                challenge = client.challenge()
                clock = [s.as_finding(subject) for s in of_clock(client.clock_skew, target.host)]
        except RunbookError as e:
            return [Finding.of_error(e, subject)]
        if challenge is None:
            nothing = "it asks for no login at all"
            return [Finding(Status.WARN, subject, nothing, "", "is this the right host?"), *clock]
        seen = f"reachable over TLS, asks for a {challenge.scheme} login"
        return [Finding(Status.OK, subject, seen), *clock]


def _document(logins: dict[str, Login]) -> dict[str, Any]:
    return {"auths": {lookup_key(host): {"auth": encode_auth(login)} for host, login in logins.items()}}
