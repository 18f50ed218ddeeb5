"""Docker's credential helpers: programs `docker-credential-<name>` with get, store and erase on stdin.

Protocol: docker/docker-credential-helpers, README. The secret goes in by stdin and comes out by stdout,
never through arguments.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess

from runbook_lib.credentials import SecretValue, environment_for_children
from runbook_lib.errors import DockerConfigError, HelperMissingError
from runbook_lib.redaction import redact
from runbook_lib.registry.logins import Login

SECONDS = 30.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NOT_FOUND = ("credentials not found", "no credentials server url")


class CredentialHelper:
    """One helper by the short name that docker's config uses, such as `pass` or `osxkeychain`."""

    def __init__(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise DockerConfigError(
                f"the helper name {name!r} is not well formed",
                where="credsStore or credHelpers",
                remedy="give the part after docker-credential-, such as pass",
            )
        self.program = f"docker-credential-{name}"

    def require(self) -> str:
        """The path of the program.

        Raises:
            HelperMissingError: it is not on PATH.
        """
        found = shutil.which(self.program)
        if found is None:
            raise HelperMissingError(
                "the docker config names this credential helper, and it is not on PATH",
                where=self.program,
                remedy=f"install {self.program}, or remove it from credsStore and credHelpers,"
                " or give another folder in docker_config",
            )
        return found

    def get(self, server: str) -> Login | None:
        """The stored login, or None where the helper has none."""
        done = self._run("get", server)
        if done.returncode:
            said = (done.stdout + done.stderr).lower()
            if any(phrase in said for phrase in _NOT_FOUND):
                return None
            raise self._failed("get", done)
        try:
            answer = json.loads(done.stdout)
            return Login(str(answer["Username"]), SecretValue(str(answer["Secret"])))
        except (ValueError, KeyError, TypeError):
            raise HelperMissingError(
                "get did not answer with a Username and a Secret",
                where=self.program,
                remedy="check the helper: `echo HOST | " + self.program + " get`",
            ) from None

    def store(self, server: str, login: Login) -> None:
        """Keep a login; HelperMissingError when the helper fails."""
        record = {"ServerURL": server, "Username": login.username, "Secret": login.secret.reveal()}
        done = self._run("store", json.dumps(record))
        if done.returncode:
            raise self._failed("store", done)

    def erase(self, server: str) -> None:
        """Forget a login; one that is not there is no error."""
        done = self._run("erase", server)
        if done.returncode and not any(p in (done.stdout + done.stderr).lower() for p in _NOT_FOUND):
            raise self._failed("erase", done)

    def _run(self, verb: str, given: str) -> subprocess.CompletedProcess[str]:
        program = self.require()
        try:
            return subprocess.run(
                [program, verb],
                input=given,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
                env=environment_for_children(),
            )
        except subprocess.TimeoutExpired:
            # "from None": the exception holds the input.
            raise HelperMissingError(
                f"{verb} did not end within {SECONDS:.0f} s",
                where=self.program,
                remedy="unlock its key store (it may be waiting for a pass phrase)",
            ) from None
        except (OSError, UnicodeDecodeError) as e:
            raise HelperMissingError(
                f"it cannot be run: {type(e).__name__}", where=self.program, remedy="reinstall the helper"
            ) from None

    def _failed(self, verb: str, done: subprocess.CompletedProcess[str]) -> HelperMissingError:
        # Only stderr of `get` is shown: its stdout may carry the secret.
        said = done.stderr if verb == "get" else done.stdout + done.stderr
        last = redact(said.strip()).splitlines()[-1:] or ["(no message)"]
        return HelperMissingError(
            f"{verb} failed with exit code {done.returncode}: {last[0][:200]}",
            where=self.program,
            remedy="unlock or initialise its key store, or remove it from credsStore and credHelpers",
        )
