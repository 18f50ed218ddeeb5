"""Logging in through other programs: `docker login`, and OCI's short-lived token through the `oci` program.

The oci way is modelled on Oracle's A-Team post about BEARER_TOKEN logins, unverified against a live OCIR.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from runbook_lib.credentials import SecretValue, environment_for_children
from runbook_lib.errors import HelperMissingError, LoginRefusedError
from runbook_lib.redaction import redact
from runbook_lib.registry.config_document import lookup_key
from runbook_lib.registry.logins import Login
from runbook_lib.registry.ocir import BEARER_USERNAME

SECONDS = 60.0
_TOKEN_PATH = "/20180419/docker/token"  # noqa: S105 - a path


def docker_login(host: str, login: Login, folder: Path) -> None:
    """`docker login --password-stdin`, into the config of `folder`.

    Raises:
        HelperMissingError: docker is not on PATH or does not end. LoginRefusedError: it says no.
    """
    docker = require("docker", "auth_method=file needs no program")
    command = [docker, "login", "--username", login.username, "--password-stdin", lookup_key(host)]
    done = _run(command, login.secret.reveal(), {"DOCKER_CONFIG": str(folder)})
    if done.returncode:
        raise LoginRefusedError(
            f"docker login failed: {_last_line(done)}",
            where=host,
            remedy="check user name and token; for a private CA docker reads"
            " /etc/docker/certs.d/<host>/ca.crt; auth_method=file uses registry_ca",
        )


def oci_login(host: str) -> Login:
    """A login with OCIR's short-lived token (about an hour), signed for by the `oci` program's own key.

    Raises:
        HelperMissingError: oci is not on PATH or does not end. LoginRefusedError: it gives no token.
    """
    oci = require("oci", "install the OCI CLI and run `oci setup config`, or use auth_method=file")
    done = _run([oci, *token_request(host)], "", {})
    try:
        token = json.loads(done.stdout)["data"]["token"]
    except (ValueError, KeyError, TypeError):
        token = ""
    if done.returncode or not isinstance(token, str) or not token:
        raise LoginRefusedError(
            f"oci raw-request gave no token (exit code {done.returncode})",
            where=host,
            remedy="try `oci os ns get`: it must work first; else use auth_method=file with an auth token",
        )
    return Login(BEARER_USERNAME, SecretValue(token))


def token_request(host: str) -> tuple[str, ...]:
    """The words behind `oci` that ask for the token; the answer is JSON with `data.token`."""
    return ("raw-request", "--http-method", "GET", "--target-uri", f"https://{host}{_TOKEN_PATH}")


def require(program: str, remedy: str) -> str:
    """The path of a program.

    Raises:
        HelperMissingError: it is not on PATH.
    """
    found = shutil.which(program)
    if found is None:
        raise HelperMissingError("it is not on PATH", where=program, remedy=remedy)
    return found


def _run(command: list[str], given: str, more: dict[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            input=given,
            capture_output=True,
            encoding="utf-8",
            errors="replace",  # the exception would hold all that was said, a token too
            timeout=SECONDS,
            check=False,
            env={**environment_for_children(), **more},
        )
    except subprocess.TimeoutExpired:
        raise HelperMissingError(
            f"it did not end within {SECONDS:.0f} s", where=command[0], remedy="check the network, try again"
        ) from None
    except OSError as e:
        raise HelperMissingError(
            f"it cannot be run: {e.strerror}", where=command[0], remedy="reinstall it"
        ) from e


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = redact(done.stderr.strip() or done.stdout.strip()).splitlines()
    return lines[-1][:300] if lines else f"exit code {done.returncode}"
