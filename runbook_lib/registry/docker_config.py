"""Docker's config file: what buildctl reads on this side, merged so that nothing else in it is lost."""

from __future__ import annotations

import copy
import difflib
import json
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from runbook_lib.credentials import SecretValue
from runbook_lib.errors import DockerConfigError
from runbook_lib.registry import safe_file
from runbook_lib.registry.config_document import (
    Document,
    helper_of,
    key_of,
    keys_of,
    lookup_key,
    parse,
    render,
)
from runbook_lib.registry.credential_helper import CredentialHelper
from runbook_lib.registry.logins import IDENTITY_USER, Login, decode_auth, encode_auth
from runbook_lib.settings import Settings
from runbook_lib.small_files import expanded

HIDDEN = "<hidden>"
HIDDEN_AUTH = "<username:token, base64>"
_STALE = ("username", "password", "identitytoken", "registrytoken")
# Other keys may hold anything: proxies have addresses with a password, HttpHeaders and plugins have tokens.
_SHOWN = ("credHelpers", "credsStore")
_SHOWN_OF_ENTRY = ("username", "email")


def config_path(settings: Settings) -> Path:
    """The file: of the parameter `docker_config` (a folder), else $DOCKER_CONFIG, else ~/.docker.

    Raises:
        DockerConfigError: the folder is below the home folder of a user who has none.
    """
    folder = settings.docker_config or os.environ.get("DOCKER_CONFIG", "") or "~/.docker"
    try:
        return expanded(folder).absolute() / "config.json"
    except OSError as e:
        raise DockerConfigError(
            f"the folder cannot be used: {e.strerror}",
            where=folder,
            remedy="correct the parameter docker_config, or the variable DOCKER_CONFIG",
        ) from None


class DockerConfigFile:
    """One config.json. Every method reads it anew; all raise DockerConfigError where it is unusable."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> Document:
        """The document, an empty one where there is no file."""
        return parse(safe_file.read(safe_file.real_path(self.path)), str(self.path))

    def is_shared(self) -> bool:
        """True when the file lets its group or others read it; False where there is none."""
        path = safe_file.real_path(self.path)
        return safe_file.is_there(path) and bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))

    def helper_for(self, host: str) -> CredentialHelper | None:
        """The credential helper that keeps the login of `host`, or None: the file keeps it."""
        name = helper_of(self.load(), host)
        return CredentialHelper(name) if name else None

    def credential_for(self, host: str) -> Login | None:
        """The login that docker and BuildKit would use for `host`, through a helper too; None for none."""
        document = self.load()
        name = helper_of(document, host)
        if name:
            return CredentialHelper(name).get(lookup_key(host))
        key = key_of(document, host)
        return _login_of(document, key, f"{self.path}, entry {key}")

    def merge(self, logins: Mapping[str, Login]) -> bool:
        """Write the logins, each to the file or to the helper in charge; True when anything changed."""
        changed = False
        document = self.load()
        for host, login in logins.items():
            name = helper_of(document, host)
            if name and not login.same_as(self.credential_for(host)):
                CredentialHelper(name).store(lookup_key(host), login)
                changed = True
        return self._update(lambda found: with_logins(found, logins)) or changed

    def remove(self, hosts: Iterable[str]) -> bool:
        """Forget the logins of `hosts`, in helpers and in the backup too; True when the file changed."""
        gone = tuple(hosts)
        document = self.load()
        changed = False
        for host in gone:
            name = helper_of(document, host)
            if name and self.credential_for(host) is not None:
                CredentialHelper(name).erase(lookup_key(host))
                changed = True
        return self._update(lambda found: without_logins(found, gone), backup=False) or changed

    def preview(self, logins: Mapping[str, Login]) -> str:
        """A unified diff of what `merge` would change, with every secret hidden; "" for no change."""
        before = self.load()
        after = with_logins(before, logins)
        if after == before:
            return ""
        old, new = (json.dumps(hide(d), indent=2, ensure_ascii=False).splitlines() for d in (before, after))
        if not before:
            old = []
        lines = difflib.unified_diff(old, new, str(self.path), str(self.path), lineterm="")
        text = "\n".join(lines)
        # A token that changes under an unchanged user hides behind the same placeholder on both sides.
        return text or f'  "auth" of {", ".join(logins)}: another value'

    @property
    def backup(self) -> Path:
        """The file as it was before the last `merge`: it may hold logins that were replaced since."""
        return safe_file.backup_of(self.path)

    def _update(self, edit: Callable[[Document], Document], *, backup: bool = True) -> bool:
        def change(content: bytes | None) -> bytes | None:
            before = parse(content, str(self.path))
            after = edit(before)
            return None if after == before else render(after, content)

        return safe_file.update(self.path, change, backup=backup)


def with_logins(document: Document, logins: Mapping[str, Login]) -> Document:
    """A copy with the logins that no helper keeps. Other keys of an entry stay, stale logins in it go."""
    new = copy.deepcopy(document)
    for host, login in logins.items():
        if helper_of(document, host):
            continue
        keys = keys_of(document, host)
        kept = [_login_of(document, key, f"entry {key}", strict=False) for key in keys]
        if kept and all(map(login.same_as, kept)):
            continue
        # Of several URLs docker takes any: only the host itself is sure to be found.
        key = keys[0] if len(keys) == 1 else lookup_key(host)
        entry = new.setdefault("auths", {}).setdefault(key, {})
        for stale in _STALE:
            entry.pop(stale, None)
        entry["auth"] = encode_auth(login)
    return new


def without_logins(document: Document, hosts: Iterable[str]) -> Document:
    """A copy without the entries of `hosts`; `auths` itself stays where it has other entries."""
    new = copy.deepcopy(document)
    for host in hosts:
        key = key_of(document, host)
        if new.get("auths", {}).pop(key, None) is not None and not new["auths"]:
            del new["auths"]
    return new


def hide(document: Document) -> Document:
    """A copy for showing: all keys, and of the values only those that are known to be no secret."""
    shown = {key: value if key in _SHOWN else HIDDEN for key, value in document.items()}
    if "auths" in document:
        shown["auths"] = {key: _hide_entry(entry) for key, entry in document["auths"].items()}
    return shown


def _hide_entry(entry: Document) -> Document:
    shown: Document = {key: HIDDEN_AUTH if key == "auth" else HIDDEN for key in entry}
    return shown | {key: entry[key] for key in _SHOWN_OF_ENTRY if isinstance(entry.get(key), str)}


def _login_of(document: Document, key: str, where: str, *, strict: bool = True) -> Login | None:
    entry = document.get("auths", {}).get(key)
    if not entry:
        return None
    if entry.get("identitytoken"):
        return Login(IDENTITY_USER, SecretValue(str(entry["identitytoken"])))
    if not entry.get("auth"):  # where it is, docker goes by it alone (configfile LoadFromReader)
        username, password = entry.get("username"), entry.get("password")
        return Login(str(username), SecretValue(str(password))) if username and password else None
    try:
        return decode_auth(str(entry["auth"]), where)
    except DockerConfigError:
        if strict:
            raise
        return None
