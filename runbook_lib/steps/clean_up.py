"""Step 99: take away exactly what the runbook made, say what stays, and prove that it is gone."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path
from typing import ClassVar

from runbook_lib.builder.store import Fetched, Store
from runbook_lib.cluster import objects, precheck, removal
from runbook_lib.cluster.labels import is_ours
from runbook_lib.errors import PermissionMissingError, RunbookError
from runbook_lib.findings import Finding, Findings, Status
from runbook_lib.journal import FILE_NAME, Journal
from runbook_lib.plan import Action, Change, Plan
from runbook_lib.registry.config_document import lookup_key
from runbook_lib.registry.docker_config import DockerConfigFile, config_path
from runbook_lib.registry.safe_file import is_there
from runbook_lib.steps.contract import Step
from runbook_lib.steps.written_logins import written_logins


class CleanUp(Step):
    """Remove the builder's objects and, where asked for, the logins written and the programs fetched."""

    name: ClassVar[str] = "clean_up"
    notebook: ClassVar[str] = "99_clean_up.ipynb"
    title: ClassVar[str] = "Clean up"

    @property
    def _file(self) -> DockerConfigFile:
        return DockerConfigFile(config_path(self.settings))

    def _check(self) -> Findings:
        try:
            found = [precheck.target(self.cluster)]
        except RunbookError as e:
            return Findings([Finding.of_error(e, "target")])
        settings, cluster = self.settings, self.cluster
        found += precheck.tried(lambda: precheck.permissions(cluster, settings, self.name), "permissions")
        found += precheck.tried(self._objects, "objects")
        found += precheck.tried(self._what_stays, "what stays")
        return Findings(found)

    def _objects(self) -> list[Finding]:
        found = []
        for target in removal.targets(self.cluster, self.settings):
            status = Status.OK if target.ours else Status.SKIP
            message = "the runbook made it: it goes" if target.ours else "somebody else made it: it stays"
            found.append(Finding(status, target.subject(self.cluster), message))
        return found or [Finding(Status.OK, "objects", "none of the runbook's is in the cluster")]

    def _what_stays(self) -> list[Finding]:
        """What this step leaves: the registry always, logins and programs unless asked for."""
        found = [Finding(Status.SKIP, "pushed images", "they stay in the registry: they are yours")]
        if not self.settings.remove_login:
            found.append(Finding(Status.SKIP, str(self._file.path), "logins stay (remove_login takes them)"))
        if not self.settings.remove_binaries:
            message = "fetched programs stay (remove_binaries takes them)"
            found.append(Finding(Status.SKIP, str(Store(self.settings).folder), message))
        return found + self._logins_elsewhere() + self._namespace_stays()

    def _namespace_stays(self) -> list[Finding]:
        """A namespace that create_namespace made may hold others' objects by now, so it is never removed."""
        name = self.settings.namespace
        try:
            live = objects.read(self.cluster, "Namespace", name)
        except PermissionMissingError:
            return []
        if live is None or not is_ours(live):
            return []
        message = f"the runbook made it, and it stays; when it is empty: kubectl delete namespace {name}"
        return [Finding(Status.SKIP, f"Namespace {name}", message)]

    def _plan(self) -> Plan:
        changes = removal.plan_removal(self.cluster, self.settings)
        for host in self._logins():
            subject = f"login for {host} in {self._file.path}"
            by_hand = f"# take the entry {lookup_key(host)!r} out of {shlex.quote(str(self._file.path))}"
            changes.append(Change(Action.DELETE, subject, "", (by_hand,)))
        if self._has_backup():
            backup = self._file.backup
            changes.append(Change(Action.DELETE, str(backup), "", (f"rm {shlex.quote(str(backup))}",)))
        for record in self._binaries():
            place = shlex.quote(record.path)
            changes.append(Change(Action.DELETE, record.path, "", (f"rm {place} {place}.json",)))
        return Plan(changes)

    def _apply(self) -> Findings:
        found = []
        for target, action in removal.remove(self.cluster, self.settings, self.emit):
            message = "removed" if action is Action.DELETE else "somebody else made it: it stays"
            found.append(Finding(Status.OK, target.subject(self.cluster), message))
        logins, backup = self._logins(), self._has_backup()
        if logins or backup:
            self._file.remove(logins)
        if logins:
            found.append(Finding(Status.OK, str(self._file.path), f"forgot {', '.join(logins)}"))
        if backup:
            found.append(
                Finding(Status.OK, str(self._file.backup), "removed: it may hold what was forgotten")
            )
        found += self._remove_binaries()
        return Findings(found or [Finding(Status.OK, "clean-up", "there was nothing to remove")])

    def _remove_binaries(self) -> list[Finding]:
        records = self._binaries()
        if not records:
            return []
        store = Store(self.settings)
        with store.locked():
            for record in records:
                store.remove(record)
        return [Finding(Status.OK, record.path, "removed") for record in records]

    def _verify(self) -> Findings:
        mine = [t for t in removal.targets(self.cluster, self.settings) if t.ours]
        found = [Finding(Status.FAIL, t.subject(self.cluster), "it is still there") for t in mine]
        found += [Finding(Status.FAIL, f"login for {h}", "it is still there") for h in self._logins()]
        if self._has_backup():
            found.append(Finding(Status.FAIL, str(self._file.backup), "it is still there"))
        found += [Finding(Status.FAIL, r.path, "it is still there") for r in self._binaries()]
        found += self._logins_elsewhere()
        place = f"{self.cluster.namespace} in {self.cluster.context}"
        return Findings(found or [Finding(Status.OK, place, "nothing of the runbook's is left")])

    def _logins(self) -> list[str]:
        """The hosts whose login a run of this runbook wrote to this file, as far as they are still in it."""
        if not self.settings.remove_login:
            return []
        return [host for host in self._written() if self._file.credential_for(host) is not None]

    def _has_backup(self) -> bool:
        """The backup of our own writing may hold a token, so it goes with the logins."""
        return self.settings.remove_login and is_there(self._file.backup)

    def _written(self) -> list[str]:
        written: dict[str, None] = {}
        for journal in self._journals():
            written |= dict.fromkeys(written_logins(journal).get(str(self._file.path), []))
        return list(written)

    def _logins_elsewhere(self) -> list[Finding]:
        """Logins that this run's journal knows of in other files, where a changed docker_config left them."""
        if not self.settings.remove_login:
            return []
        found = []
        for path, hosts in written_logins(self.journal).items():
            file = DockerConfigFile(Path(path))
            # A file that cannot be read any more is no matter of these settings.
            with contextlib.suppress(RunbookError):
                if path != str(self._file.path) and any(file.credential_for(host) for host in hosts):
                    where = file.path.parent
                    message = f"the runbook's logins in it stay; to remove them, set docker_config to {where}"
                    found.append(Finding(Status.SKIP, path, message))
        return found

    def _journals(self) -> list[Journal]:
        """This run's journal and those beside it: a later run finds the login there and writes none."""
        beside = sorted(self.journal.run_dir.parent.glob(f"*/{FILE_NAME}"))
        folders = dict.fromkeys([self.journal.run_dir, *(Path(path).parent for path in beside)])
        return [Journal(folder) for folder in folders]

    def _binaries(self) -> list[Fetched]:
        return Store(self.settings).fetched() if self.settings.remove_binaries else []
