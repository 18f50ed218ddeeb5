"""Image references that always name their registry: host/repository[:tag][@digest]."""

from __future__ import annotations

from dataclasses import dataclass, replace

from runbook_lib import names
from runbook_lib.errors import ReferenceFormatError

_REMEDY = "write host[:port]/repository:tag, such as iad.ocir.io/mynamespace/app:1.0"


@dataclass(frozen=True, slots=True)
class Reference:
    """One image at one registry; a tag, a digest or both. The grammar is the one of `names`.

    Raises:
        ReferenceFormatError: a part is not well formed, or there is neither tag nor digest.
    """

    host: str
    repository: str
    tag: str = ""
    digest: str = ""

    def __post_init__(self) -> None:
        shown = f"reference {self.host}/{self.repository}"[:200]
        if not self.tag and not self.digest:
            raise ReferenceFormatError("it has neither a tag nor a digest", where=shown, remedy=_REMEDY)
        try:
            names.registry_host(self.host)
            names.repository(self.repository)
            if self.tag:
                names.tag(self.tag)
            if self.digest:
                names.digest(self.digest)
        except ValueError as e:
            raise ReferenceFormatError(str(e), where=shown, remedy=_REMEDY) from None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference; unlike docker's, the host is never guessed."""
        rest, _, digest = text.partition("@")
        host, slash, path = rest.partition("/")
        named = "." in host or ":" in host or host == "localhost"
        if not slash or not named:
            raise ReferenceFormatError(
                "it does not begin with a registry host", where=f"reference {text[:200]!r}", remedy=_REMEDY
            )
        head, slash, last = path.rpartition("/")
        name, colon, tag = last.partition(":")
        if (colon and not tag) or ("@" in text and not digest):
            raise ReferenceFormatError(
                "it ends in ':' or '@' with nothing behind", where=f"reference {text[:200]!r}", remedy=_REMEDY
            )
        return cls(host, f"{head}{slash}{name}", tag, digest)

    @property
    def name(self) -> str:
        """Host and repository, without tag and digest."""
        return f"{self.host}/{self.repository}"

    def with_digest(self, digest: str) -> Reference:
        """The same image, named by digest alone: what a deployment should pin."""
        return replace(self, tag="", digest=digest)

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")
