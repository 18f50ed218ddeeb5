"""Why a build failed, told from BuildKit's own words: what kind of failure, and what to do about it.

Policy as a table: the first row whose pattern is found in the error text wins, so the narrow rows stand
above the broad ones. Texts were seen with BuildKit v0.34.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass

from runbook_lib.builder.progress_json import Progress
from runbook_lib.errors import BuildFailedError, ConnectionLostError
from runbook_lib.redaction import redact

_AUTH = "02_configure_auth.ipynb"
_POD = "01_install_pod.ipynb"
_PUSH = "04_test_push.ipynb"


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of failure: pattern in the error text, its name, remedy, mending notebook and error."""

    pattern: re.Pattern[str]
    kind: str
    remedy: str
    notebook: str = _PUSH
    error: type[BuildFailedError] = BuildFailedError


def _row(
    pattern: str,
    kind: str,
    remedy: str,
    notebook: str = _PUSH,
    error: type[BuildFailedError] = BuildFailedError,
) -> Row:
    return Row(re.compile(pattern, re.IGNORECASE), kind, remedy, notebook, error)


TABLE = (
    _row(
        r"dockerfile parse error|failed to read dockerfile|unknown instruction|dockerfile.*no such file"
        r"|file with no instructions",
        "the Dockerfile cannot be used",
        "mend the Dockerfile, or correct the parameters dockerfile and context_dir",
    ),
    _row(
        r"did not complete successfully: exit code",
        "a RUN instruction failed",
        "read the instruction's last lines above and mend it",
    ),
    _row(
        r"failed to calculate checksum|failed to compute cache key",
        "a file to copy is not in the build context",
        "check the path in COPY or ADD, and .dockerignore",
    ),
    _row(r"target stage .* could not be found", "the stage does not exist", "correct build_target"),
    _row(r"no space left on device", "the builder's disk is full", "prune the builder (notebook 90)", _POD),
    _row(
        r"x509:|certificate signed by unknown|tls: |http: server gave HTTP response to HTTPS",
        "the registry's certificate is not trusted",
        "give its CA in registry_ca and apply notebook 01 again: the builder needs it too",
        _POD,
    ),
    _row(
        r"cacheconfig|exporting cache|cache export|failed to export cache",
        "the cache export was refused",
        "the image may be pushed already; keep the cache local (parameter local_cache)",
    ),
    _row(
        r"failed to resolve source metadata.*(denied|not found|insufficient_scope|\b40[134]\b|unauthorized)",
        "an image named in FROM cannot be pulled",
        "check its name and tag; a private image, or a mirror, needs a login too (notebook 02)",
    ),
    _row(  # buildctl itself asks for tokens, on this machine
        r"failed to fetch (oauth|anonymous) token.*"
        r"(connection re|timeout|dial tcp|no such host|unreachable|deadline exceeded|EOF)",
        "the registry's token service cannot be reached from this machine",
        "check the way from this machine to the registry (name, route, proxy), then build again",
        _AUTH,
    ),
    _row(
        r"\b40[13]\b|unauthorized|insufficient_scope|authorization failed|failed to authorize|denied"
        r"|failed to fetch (oauth|anonymous) token",
        "the registry refused the login or the push",
        "run notebook 02: it says whether the login or the permission is missing",
        _AUTH,
    ),
    _row(
        r"name_unknown|\b404\b|repository .* not found",
        "the registry has no such repository or image",
        "create the repository first (OCIR may not do it on push), or correct the name",
        _AUTH,
    ),
    _row(r"\b409\b", "the registry answers 409, a conflict", "OCIR is reported to do so for provenance"),
    _row(r"\b(429|5\d\d)\b.*|toomanyrequests", "the registry is busy or failing", "try again later"),
    _row(
        r"has exited with exit status|error reading from (server|error stream)|Unavailable:"
        r"|transport is closing|EOF$|closing transport|graceful_stop|no active session|session .*not found",
        "the connection to the builder was lost",
        "check the builder pod (notebook 01), then build again: finished steps are in its cache",
        _POD,
        ConnectionLostError,
    ),
    _row(
        r"no such host|connection refused|i/o timeout|no route to host|network is unreachable|dial tcp"
        r"|deadline exceeded|connection reset",
        "the builder cannot reach a registry",
        "check the registry's name, and the pod's DNS and routes",
        _POD,
    ),
    _row(
        r"failed to push",
        "the registry did not take the push",
        "run notebook 02: it tries an upload and says what the registry answers",
        _AUTH,
    ),
)


def explained(progress: Progress, code: int) -> BuildFailedError:
    """The typed error for a build that ended with a non-zero exit code."""
    vertex = progress.failed
    text = progress.error or (vertex.error if vertex else "")
    # A refused push often ends in "unknown: …"; the status then stands in the vertex's log only.
    said = [text, "\n".join(vertex.log)] if vertex and "failed to push" in text else [text]
    row = next((r for t in reversed(said) for r in TABLE if r.pattern.search(t)), None)
    kind = row.kind if row else "the build failed"
    # buildctl repeats its own and the daemon's prefixes; what is left names the cause.
    cause = text.removeprefix("failed to solve: ") or _silent_end(code)
    lines = [f"{kind}: {cause[:600]}", *(f"    | {line}" for line in (vertex.log if vertex else ()))]
    return (row.error if row else BuildFailedError)(
        redact("\n".join(lines)),
        where=redact(vertex.name) if vertex else "buildctl build",
        remedy=row.remedy if row else "read the message; build with --progress=plain by hand for all of it",
        notebook=row.notebook if row else _PUSH,
    )


def _silent_end(code: int) -> str:
    """What is known of a program that ended without a word; a negative code is the signal that ended it."""
    if code >= 0:
        return f"exit code {code}, no message"
    name = next((s.name for s in signal.Signals if s == -code), str(-code))
    return f"buildctl was ended by {name}: somebody killed it, or this machine is out of memory"
