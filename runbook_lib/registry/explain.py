"""Registry error answers in a reader's words: a table from status, code and message to cause and remedy.

Codes: OCI distribution-spec, "Error Codes"; statuses of distribution v3. OCIR's rows are modelled on
Oracle's documentation and on public reports, unverified against a live OCIR.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from runbook_lib.errors import LoginRefusedError, PushDeniedError, RegistryAnswerError, RegistryError
from runbook_lib.redaction import redact

NOTEBOOK = "02_configure_auth.ipynb"
_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Row:
    """One explanation: matches when status (0: any), code ("": any) and message pattern all fit."""

    status: int
    code: str
    message: str
    error: type[RegistryError]
    cause: str
    remedy: str


_HINT = (
    "give the auth token (not the console password) of exactly this user; OCI shows it once, keeps two"
    " a user, and a stray newline breaks it"
)
ROWS = (
    Row(401, "", "", LoginRefusedError, "the registry does not accept the login", _HINT),
    Row(
        0, "", r"anonymous users are only allowed", LoginRefusedError,
        "the registry took the request for an anonymous one: the credential was not accepted", _HINT,
    ),
    Row(
        0, "CONFLICT|UNKNOWN", r"attestation", RegistryAnswerError,
        "the registry refuses attestation manifests", "build without attestations (provenance and SBOM off)",
    ),
    Row(
        0, "", r"cacheconfig|cache manifest", RegistryAnswerError,
        "the registry refuses BuildKit cache manifests", "use a local cache: type=local",
    ),
    Row(
        403, "", "", PushDeniedError, "this user may not do that in this repository",
        "ask for a policy such as `Allow group <group> to manage repos in compartment <compartment>`,"
        " or give a repository in the own namespace",
    ),
    Row(
        404, "NAME_UNKNOWN", r"not created on first push|does not exist", PushDeniedError,
        "the repository does not exist and a push does not create it",
        "create the repository first, or turn on creation on first push in the tenancy and give the user"
        " the permission REPOSITORY_MANAGE",
    ),
    Row(
        404, "NAME_UNKNOWN", "", RegistryAnswerError, "the registry knows no such repository",
        "check the parameter repository; the first part is the Object Storage namespace",
    ),
    Row(
        404, "MANIFEST_UNKNOWN", "", RegistryAnswerError, "the repository has no such tag or digest",
        "check the tag; push it first",
    ),
    Row(404, "BLOB_UNKNOWN", "", RegistryAnswerError, "a layer is not there", "push the image again"),
    Row(
        404, "", "", RegistryAnswerError, "the address is not there: perhaps this is not a registry",
        "check the host (parameter registry): host[:port] of the registry itself, not of its web page",
    ),
    Row(
        405, "", "", RegistryAnswerError, "the registry does not offer this operation",
        "nothing to mend here; the operation is switched off on the registry",
    ),
    Row(
        409, "", "", RegistryAnswerError, "the registry reports a conflict with something that exists",
        "another push may be running or the tag may be immutable: wait, or use another tag",
    ),
    Row(
        413, "", "", RegistryAnswerError, "the upload is larger than the registry takes",
        "make layers smaller",
    ),
    Row(
        429, "", "", RegistryAnswerError, "too many requests: the registry limits how often it answers",
        "wait a few minutes; fewer builds at once",
    ),
    Row(
        0, "MANIFEST_INVALID|MANIFEST_BLOB_UNKNOWN", "", RegistryAnswerError,
        "the registry does not accept this manifest",
        "push an ordinary image; see the message of the registry",
    ),
    Row(
        0, "NAME_INVALID", "", RegistryAnswerError, "the repository name is not one that this registry takes",
        "lower-case components joined by '/', beginning with the namespace",
    ),
    Row(
        400, "", "", RegistryAnswerError, "the registry does not accept the request",
        "read the message of the registry; check host, repository and user name",
    ),
)  # fmt: skip
_SERVER = Row(
    0, "", "", RegistryAnswerError, "the registry failed on its side",
    "try again later; if it stays, see its status"
)  # fmt: skip
_OTHER = Row(
    0, "", "", RegistryAnswerError, "the registry answered something unexpected",
    "check that the host is a registry"
)  # fmt: skip


def read_body(body: bytes) -> tuple[str, str]:
    """Code and message of the first error in a body; ("", a bare extract) where it is not in that format."""
    try:
        document = json.loads(body)
    except ValueError:
        return "", _bare(body)
    errors = document.get("errors") if isinstance(document, dict) else None
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        return str(errors[0].get("code") or ""), _clean(str(errors[0].get("message") or ""))
    if isinstance(document, dict):
        # OCI's API style, and the token endpoint of several registries.
        said = document.get("message") or document.get("details") or document.get("error_description") or ""
        return str(document.get("code") or document.get("error") or ""), _clean(str(said))
    return "", ""


def row_for(status: int, code: str, message: str) -> Row:
    """The first row that fits."""
    for row in ROWS:
        if row.status not in (0, status) or (row.code and not re.fullmatch(row.code, code)):
            continue
        if re.search(row.message, message, re.IGNORECASE):
            return row
    return _SERVER if status >= 500 else _OTHER


def error_for(status: int, body: bytes, where: str, doing: str) -> RegistryError:
    """The typed error for an answer; `where` is host/repository, `doing` what was tried."""
    code, message = read_body(body)
    row = row_for(status, code, message)
    said = f"{code} {message}".strip()
    what = f"{doing}: {row.cause} (HTTP {status}{': ' + said if said else ''})"
    return row.error(what, where=where, remedy=row.remedy, notebook=NOTEBOOK)


def _bare(body: bytes) -> str:
    """Text of an HTML page or of anything else, without tags, in one line."""
    return _clean(re.sub(r"<[^>]*>", " ", body[:4000].decode(errors="replace")))


def _clean(text: str) -> str:
    printable = "".join(c if c.isprintable() else " " for c in text)
    return redact(" ".join(printable.split()))[:_SHOWN]
