"""Which logins the runbook wrote into which of docker's config files, as the journals remember it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from runbook_lib.journal import Journal

FACT = "written_logins"
_PATH, _HOSTS = "docker_config_path", "logins"  # what older journals hold: see _Older


def written_logins(journal: Journal) -> dict[str, list[str]]:
    """Hosts by path of the file.

    Raises:
        JournalError: the journal cannot be read.
    """
    older = _Older()
    newest: dict[str, list[str]] | None = None
    for entry in journal.entries():
        if entry.kind != "fact":
            continue
        newest = entry.data.get(FACT, newest)
        older.read(entry.data)
    return older.files if newest is None else newest


def remember(journal: Journal, step: str, path: Path, hosts: Iterable[str]) -> None:
    """Record that the logins of `hosts` were written to the file at `path`; what is known of others stays."""
    known = written_logins(journal)
    here = sorted({*known.get(str(path), []), *hosts})
    journal.fact(step, **{FACT: {**known, str(path): here}})


class _Older:
    """Facts of a path and of hosts: the path is that of the newest file, the hosts are those of all so far.

    So a host that was known before another file was taken is not known to be written there: the login in
    that file may be the reader's own.
    """

    def __init__(self) -> None:
        self.files: dict[str, list[str]] = {}
        self._path = ""
        self._elsewhere: set[str] = set()
        self._hosts: set[str] = set()

    def read(self, facts: dict[str, object]) -> None:
        path = str(facts.get(_PATH, self._path))
        if path != self._path:
            self._path, self._elsewhere = path, set(self._hosts)
        hosts = facts.get(_HOSTS)
        if isinstance(hosts, list):
            self._hosts |= {str(host) for host in hosts}
            known = {*self.files.get(path, []), *(self._hosts - self._elsewhere)}
            self.files[path] = sorted(known)
