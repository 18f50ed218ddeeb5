"""The provenance that BuildKit publishes beside a release tarball: an in-toto statement over its sha256.

Formats: in-toto Statement v0.1 and v1; SLSA provenance v0.2 (`predicate.builder.id`,
`invocation.configSource.uri`) and v1 (`runDetails.builder.id`, `buildDefinition.externalParameters`).
The statement carries no signature and comes from the server that the tarball comes from: it shows a mix-up
or a damaged file, and that another project built it, not a release page that was taken over.
"""

from __future__ import annotations

import json
from typing import Any

from runbook_lib.builder.fetch import SHA256
from runbook_lib.errors import ChecksumError

REPOSITORY = "github.com/moby/buildkit"
_STATEMENT = "https://in-toto.io/Statement/"
_PREDICATE = "https://slsa.dev/provenance/"
_REMEDY = (
    "use the project's own releases or another mirror; or give buildctl_sha256, taken from a place that you"
    " trust: the statement is then not asked for"
)


def sha256_of_subject(body: bytes, archive: str, version: str, where: str) -> tuple[str, str]:
    """The sha256 that the statement names for `archive`, and who built it ("" where it does not tell).

    Raises:
        ChecksumError: it is no such statement, does not name the archive once, or names another project,
            builder or version.
    """
    try:
        statement = json.loads(body)
        kinds = str(statement["_type"]), str(statement["predicateType"])
        subjects = [s for s in statement["subject"] if str(s["name"]).rpartition("/")[2] == archive]
        digests = {str(s["digest"]["sha256"]) for s in subjects}
        predicate = statement.get("predicate") or {}
        builder, source = _built_by(predicate), _source_of(predicate)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _refused("it is not an in-toto statement", where) from None
    if not kinds[0].startswith(_STATEMENT) or not kinds[1].startswith(_PREDICATE):
        raise _refused(f"it is a {kinds[1][:80]!r} and not a provenance", where)
    if len(digests) != 1 or not SHA256.fullmatch(next(iter(digests))):
        raise _refused(f"it does not name one sha256 for {archive}", where)
    # A builder id may be empty (a build on somebody's own machine), another project's may not stand there.
    if builder and not builder.startswith(f"https://{REPOSITORY}/"):
        raise _refused(f"it was built by {builder[:120]!r}, not by {REPOSITORY}", where)
    if source and not _is_ours(source, version):
        raise _refused(f"it was built from {source[:120]!r}, not from {REPOSITORY} {version}", where)
    return digests.pop(), builder or source


def _built_by(predicate: dict[str, Any]) -> str:
    details = predicate.get("runDetails") or predicate
    return str((details.get("builder") or {}).get("id") or "")


def _source_of(predicate: dict[str, Any]) -> str:
    definition = predicate.get("buildDefinition")
    given = definition.get("externalParameters") if definition else predicate.get("invocation")
    return str(((given or {}).get("configSource") or {}).get("uri") or "")


def _is_ours(source: str, version: str) -> bool:
    """A git address of the project; where it has a ref, that must be the version's tag."""
    address, _, ref = source.removeprefix("git+").partition("#")
    address, _, at = address.partition("@")
    same = address.removesuffix(".git") == f"https://{REPOSITORY}"
    named = (ref or at).partition(":")[0].removeprefix("refs/tags/")
    return same and named in ("", version)


def _refused(what: str, where: str) -> ChecksumError:
    return ChecksumError(f"the release's provenance cannot be used: {what}", where=where, remedy=_REMEDY)
