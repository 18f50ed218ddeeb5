"""The commands with which a person writes a login without this runbook; none of them holds a secret."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from runbook_lib.registry.targets import Target


def commands_for(target: Target, path: Path, *, alone: bool = False) -> tuple[str, ...]:
    """Shell lines: the entry without docker, and docker's own way as the alternative.

    Where the file is not there yet and is to hold this login `alone`, one line writes it whole.
    """
    kind, _, where = target.reference.partition(":")
    token = {
        "env": f'printf %s "${where}"',
        "file": f"tr -d '\\r\\n' < {shlex.quote(where)}",
        "secret": _from_secret(where),
    }.get(kind, 'read -rs TOKEN && printf %s "$TOKEN"')
    user, host = shlex.quote(target.username), shlex.quote(target.host)
    login = f"{{ printf '%s:' {user}; {token}; }} | base64 | tr -d '\\n'"
    if alone and not path.exists():
        folder, text = shlex.quote(str(path.parent)), json.dumps({"auths": {target.host: {"auth": "%s"}}})
        # printf is the shell's own, so the login is on no command line.
        write = f'printf {shlex.quote(text)} "$({login})" > {shlex.quote(str(path))}'
        return (f"mkdir -p -m 700 {folder} && ( umask 077; {write} )",)
    entry = json.dumps({"auths": {target.host: {"auth": "THE-LINE-ABOVE"}}})
    return (
        login,
        f"# put that line into {path} as: {entry}",
        f"# or, where docker is installed: {token} | docker --config {shlex.quote(str(path.parent))} login"
        f" --username {user} --password-stdin {host}",
    )


def _from_secret(where: str) -> str:
    namespace, _, rest = where.partition("/")
    name, _, key = rest.partition("/")
    template = shlex.quote('{{index .data "' + key + '" | base64decode}}')
    words = ("kubectl", f"--namespace={shlex.quote(namespace)}", "get", "secret", shlex.quote(name))
    return " ".join((*words, f"--output=go-template={template}"))
