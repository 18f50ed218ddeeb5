"""Why a build failed, told from BuildKit's own words: what kind of failure, and what to do about it.

Who said it is decided first. What kubectl says is about the cluster, though it reads like a registry's
answer (`Unauthorized`, `x509`, `502 Bad Gateway`); only the rest is about the build and its registries.
"""

from __future__ import annotations

import re
import signal

from runbook_lib.builder.buildctl import last_line
from runbook_lib.builder.failure_rows import NOT_TAKEN, PUSH, TABLE, Row
from runbook_lib.builder.progress_json import Progress, Vertex
from runbook_lib.builder.tunnel_rows import KUBECTL
from runbook_lib.errors import BuildFailedError
from runbook_lib.redaction import redact

# docker/cli connhelper/commandconn: the last of them, and all that stands behind stderr=.
_ENDED = re.compile(
    r".*command \[\S*kubectl\b.*? dial-stdio\] (?:has exited with (?P<end>[^,]*),|did not exit).*?"
    r'stderr="?(?P<said>.*)',
    re.DOTALL,
)
_BARE = re.compile(  # kubectl's last line by itself: `error: ` at its beginning is as buildctl's own
    r"(?:error: )?(?:You must be logged in|Error from server|Unable to connect to the server"
    r"|The connection to the server|unable to upgrade connection|error reading from error stream"
    r"|error dialing backend|Error in configuration|error loading config file|context \"[^\"]*\" does not)"
)
_LOGGED = re.compile(r"[EIW]\d{4} ")
_NAMED = re.compile(r"failed to (?:push|resolve source metadata for) (\S+): ")
_ADDRESS = re.compile(r"https?://[^\s\"]*[^\s\":]")


def explained(progress: Progress, code: int) -> BuildFailedError:
    """The typed error for a build that ended with a non-zero exit code."""
    vertex = progress.failed
    text = progress.error or (vertex.error if vertex else "")
    # buildctl repeats its own and the daemon's prefixes; what is left names the cause.
    cause = text.removeprefix("failed to solve: ")
    told = _told_by_kubectl(progress, cause)
    if told is None:
        row = _row_of(text, vertex)
    else:
        row = next(r for r in KUBECTL if r.pattern.search(told))
        cause = last_line(told)
    kind = row.kind if row else "the build failed"
    lines = [f"{kind}: {(cause or _silent_end(code))[:600]}"]
    lines += [f"    | {line}" for line in (vertex.log if vertex else ())]
    return (row.error if row else BuildFailedError)(
        redact("\n".join(lines)),
        where=redact(vertex.name) if vertex else "buildctl build",
        remedy=row.remedy if row else "read the message; build with --progress=plain by hand for all of it",
        notebook=row.notebook if row else PUSH,
    )


def _told_by_kubectl(progress: Progress, cause: str) -> str | None:
    """What kubectl wrote before it ended, else how it ended; None where kubectl is not at fault."""
    found = _ENDED.match("\n".join(progress.text))
    if found is None:
        return cause if _BARE.match(cause) else None
    said = _unquoted(found["said"]).strip().removesuffix('"').strip()
    # The lines of its log tell of tries; what it gave up for stands in the others.
    last = "\n".join(line for line in said.splitlines() if not _LOGGED.match(line))
    return last or said or found["end"] or ""


def _row_of(text: str, vertex: Vertex | None) -> Row | None:
    """What kind of failure BuildKit's text tells, if any."""
    if row := _found(text):
        return row
    if not NOT_TAKEN.pattern.search(text):
        return None
    # A refused push often ends in "unknown: …"; the status then stands in the vertex's log only.
    tries = [line for line in (vertex.log if vertex else ()) if line.startswith("error: ")]
    return (_found(tries[-1]) if tries else None) or NOT_TAKEN


def _found(text: str) -> Row | None:
    plain = _without_names(_unquoted(text))
    return next((row for row in TABLE if row.pattern.search(plain)), None)


def _without_names(text: str) -> str:
    """The text with `_` for image references and `URL` for addresses: they hold any word and number."""
    for name in set(_NAMED.findall(text)):
        text = text.replace(name, "_")
    return _ADDRESS.sub("URL", text)


def _unquoted(text: str) -> str:
    return re.sub(r'\\+"', '"', re.sub(r"\\+n", "\n", text))


def _silent_end(code: int) -> str:
    """What is known of a program that ended without a word; a negative code is the signal that ended it."""
    if code >= 0:
        return f"exit code {code}, no message"
    name = next((s.name for s in signal.Signals if s == -code), str(-code))
    return f"buildctl was ended by {name}: somebody killed it, or this machine is out of memory"
