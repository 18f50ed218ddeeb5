"""Credential references: parameters name where a secret is, never the secret itself.

Forms: `env:NAME`, `file:PATH`, `secret:NAMESPACE/NAME/KEY` (a key of a Kubernetes Secret) and
`prompt` (asks, in a live session only).
"""

from __future__ import annotations

import errno
import getpass
import os
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass

from runbook_lib import names, redaction
from runbook_lib.errors import MalformedCredentialError, MissingCredentialError
from runbook_lib.small_files import read_small

SecretReader = Callable[[str, str, str], str]
"""Reads one key of a Secret: (namespace, name, key) -> value. Given by the caller that has a cluster."""

_MOST_BYTES = 64 * 1024
_PRIVATE = "RUNBOOK_"  # parameters, and by custom the variables that credentials are in
# A reference that is being typed may for a moment name one of these, without which programs do not run.
_NEEDED = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TMPDIR", "KUBECONFIG", "DOCKER_CONFIG"}
)
_FORMS = "env:NAME, file:PATH, secret:NAMESPACE/NAME/KEY or prompt"


class SecretValue:
    """A secret that does not show itself in repr, str, format or a traceback.

    `passing`: a token good for minutes; see `redaction.learn`.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str, *, passing: bool = False) -> None:
        self._value = value
        redaction.learn(value, passing=passing)

    def reveal(self) -> str:
        """The secret itself, for the one call that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "SecretValue([redacted])"


_kept: dict[str, SecretValue] = {}  # by name: see `keep`
_variables: set[str] = set()  # names that a reference of this process has named


@dataclass(frozen=True, slots=True)
class CredentialReference:
    """Where a secret is. `kind` is env, file, secret or prompt; `target` what follows the colon."""

    kind: str
    target: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.target}" if self.target else self.kind

    @classmethod
    def parse(cls, text: str) -> CredentialReference:
        """Read a reference; the text is never echoed when malformed, for it may be a pasted secret.

        Raises:
            ValueError: not one of the four forms (pydantic turns it into InvalidParameterError).
        """
        if text == "prompt":
            return cls("prompt")
        kind, colon, target = text.partition(":")
        if not colon or kind not in ("env", "file", "secret") or not target.strip():
            raise ValueError(
                f"a credential is given by reference: {_FORMS}; the value itself is never a parameter"
            )
        if kind == "env":
            try:
                names.variable(target)
            except ValueError:
                raise ValueError(
                    "the part after env: is not a variable name; give the name, not the value"
                ) from None
            _variables.add(target)
        if kind == "secret":
            _secret_parts(target)
        return cls(kind, target)

    def resolve(self, read_secret: SecretReader | None = None) -> SecretValue:
        """Fetch the secret. One trailing line end is cut from files and Secrets, where editors add it.

        Raises:
            MissingCredentialError: the variable, file, Secret or key is not there, or is empty.
            MalformedCredentialError: the value holds a line break or another control character, or is
                larger than any token.
        """
        value = {"env": self._from_env, "file": self._from_file, "prompt": self._from_prompt}.get(
            self.kind, lambda: self._from_secret(read_secret)
        )()
        value = value.removesuffix("\n").removesuffix("\r")
        if len(value) > _MOST_BYTES:
            raise self._too_large()
        if not value:
            raise MissingCredentialError("it is empty", where=str(self), remedy="put the auth token there")
        if not value.isprintable():  # also a byte order mark and the like, which no token has
            raise MalformedCredentialError(
                "the value holds a line break or another control character or invisible mark",
                where=str(self),
                remedy="store the token alone, on one line (OCI auth tokens break on stray newlines)",
            )
        return SecretValue(value)

    def _from_env(self) -> str:
        if self.target in _kept:
            return _kept[self.target].reveal()
        if self.target not in os.environ:
            raise MissingCredentialError(
                "the environment variable is not set",
                where=str(self),
                remedy=f"export {self.target} before the run",
            )
        return os.environ[self.target]

    def _from_file(self) -> str:
        try:
            return read_small(self.target, _MOST_BYTES + 2).decode()  # and a line end
        except (OSError, UnicodeDecodeError) as e:
            if isinstance(e, OSError) and e.errno == errno.EFBIG:
                raise self._too_large() from None
            reason = e.strerror if isinstance(e, OSError) else "it is not UTF-8 text"
            raise MissingCredentialError(
                f"the file cannot be read: {reason}",
                where=str(self),
                remedy="write the token to this file, mode 0600, or name another",
            ) from None  # the exception of a decoder holds the bytes

    def _too_large(self) -> MalformedCredentialError:
        return MalformedCredentialError(
            f"the value is larger than {_MOST_BYTES} bytes, which no token is",
            where=str(self),
            remedy="store the token alone there",
        )

    def _from_prompt(self) -> str:
        if not (sys.stdin and sys.stdin.isatty()) and not in_live_kernel():
            raise MissingCredentialError(
                "nobody is here to answer a prompt",
                where="prompt",
                remedy="in automation give env:NAME, file:PATH or secret:NAMESPACE/NAME/KEY",
            )
        return getpass.getpass("registry auth token: ")

    def _from_secret(self, read_secret: SecretReader | None) -> str:
        if read_secret is None:
            raise MissingCredentialError(
                "no cluster is bound, so a Secret cannot be read",
                where=str(self),
                remedy="give a reachable context, or use env:NAME or file:PATH",
            )
        return read_secret(*_secret_parts(self.target))


def keep(name: str, value: str) -> CredentialReference:
    """Keep a secret in this process's memory; the reference returned, `env:NAME`, finds it.

    It is not put into the environment, which every child process would inherit. Elsewhere the same
    reference reads the variable of that name.
    """
    _kept[names.variable(name)] = SecretValue(value)
    _variables.add(name)
    return CredentialReference("env", name)


def is_kept(name: str) -> bool:
    """Whether `keep` has a secret under this name in this process."""
    return name in _kept


def forget(name: str) -> None:
    """Let go of what `keep` has under this name. It stays a secret: it is blanked wherever it may turn up."""
    _kept.pop(name, None)


def forbid_core_files() -> None:
    """Let this process, and those that it starts, leave no core file: that would hold every secret in memory.

    Only the soft limit is taken down: who must debug a program can raise it again.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def environment_for_children() -> dict[str, str]:
    """This process's environment for a program that it starts, without what may hold a secret.

    Left out are the runbook's own variables (`RUNBOOK_…`) and every variable that a credential reference of
    this process has named: a program that needs a login gets it by standard input or in a file.
    """
    secret = _variables - _NEEDED
    return {k: v for k, v in os.environ.items() if not k.startswith(_PRIVATE) and k not in secret}


def _secret_parts(target: str) -> tuple[str, str, str]:
    parts = target.split("/")
    try:
        namespace, name, key = parts
        names.dns_label(namespace)
        names.dns_subdomain(name)
        names.secret_key(key)
    except ValueError:  # of the three names, or of their number; the text may be a pasted secret
        raise ValueError("a Secret is named as secret:NAMESPACE/NAME/KEY") from None
    return namespace, name, key


def in_live_kernel() -> bool:
    """True in a Jupyter kernel whose front end answers input requests (papermill's does not)."""
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()
    kernel = getattr(shell, "kernel", None)
    return bool(getattr(kernel, "_allow_stdin", False))
