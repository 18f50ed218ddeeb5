"""The commands with which a person writes a login without this runbook; none of them holds a secret."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from runbook_lib.registry.config_document import lookup_key
from runbook_lib.registry.ocir import BEARER_USERNAME
from runbook_lib.registry.other_ways import token_request
from runbook_lib.registry.safe_file import is_there
from runbook_lib.registry.targets import Target

_PICK = 'import json, sys; print(json.load(sys.stdin)["data"]["token"], end="")'


def commands_for(target: Target, path: Path, *, alone: bool = False, method: str = "file") -> tuple[str, ...]:
    """Shell lines that do what the parameter auth_method, here `method`, does: file, docker or oci.

    For file and oci: the entry without docker, and docker's own way as the alternative. Where the file is
    not there yet and is to hold this login `alone`, one line writes it whole.
    """
    username, token = _login_of(target, method)
    key = lookup_key(target.host)
    user, server, folder = (shlex.quote(t) for t in (username, key, str(path.parent)))
    by_docker = f"{token} | docker --config {folder} login --username {user} --password-stdin {server}"
    if method == "docker":
        return (by_docker,)
    login = f"{{ printf '%s:' {user}; {token}; }} | base64 | tr -d '\\n'"
    if alone and not is_there(path):
        text = json.dumps({"auths": {key: {"auth": "%s"}}})
        # printf is the shell's own, so the login is on no command line.
        write = f'printf {shlex.quote(text)} "$({login})" > {shlex.quote(str(path))}'
        return (f"mkdir -p -m 700 {folder} && ( umask 077; {write} )",)
    entry = json.dumps({"auths": {key: {"auth": "THE-LINE-ABOVE"}}})
    return (
        login,
        f"# put that line into {path} as: {entry}",
        f"# or, where docker is installed: {by_docker}",
    )


def _login_of(target: Target, method: str) -> tuple[str, str]:
    """(user name, a command that prints the token)."""
    if method == "oci" and target.flavor == "ocir":
        request = shlex.join(["oci", *token_request(target.host)])
        return BEARER_USERNAME, f"{request} | python3 -c {shlex.quote(_PICK)}"
    kind, _, where = target.reference.partition(":")
    token = {
        "env": f'printf %s "${where}"',
        "file": f"tr -d '\\r\\n' < {shlex.quote(where)}",
        "secret": _from_secret(where),
    }.get(kind, 'read -rs TOKEN && printf %s "$TOKEN"')
    return target.username, token


def _from_secret(where: str) -> str:
    namespace, _, rest = where.partition("/")
    name, _, key = rest.partition("/")
    template = shlex.quote('{{index .data "' + key + '" | base64decode}}')
    words = ("kubectl", f"--namespace={shlex.quote(namespace)}", "get", "secret", shlex.quote(name))
    return " ".join((*words, f"--output=go-template={template}"))
