"""Registry error answers in a reader's words: a table from status, code and message to cause and remedy.

Codes: OCI distribution-spec, "Error Codes"; statuses of distribution v3. OCIR's rows are modelled on
Oracle's documentation and on public reports, unverified against a live OCIR.
"""

from __future__ import annotations

import contextlib
import email.utils
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

from runbook_lib.errors import LoginRefusedError, PushDeniedError, RegistryAnswerError, RegistryError
from runbook_lib.redaction import redact
from runbook_lib.registry.challenge import parse

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
    "give the token of exactly this user, and no stray newline, which breaks it; in OCI: the auth token (not"
    " the console password), which is shown once; a user may have two"
)
_MANY = "too many requests: the registry limits how often it answers"
_FEWER = "wait a few minutes; fewer builds at once"
_FORBIDDEN = Row(
    403, "", "", PushDeniedError, "this user may not do that in this repository",
    "ask for the right to push to it, or give a repository in the own namespace; in OCI: a policy such as"
    " `Allow group <group> to manage repos in compartment <compartment>`",
)  # fmt: skip
_TOKEN_FORBIDDEN = Row(
    403, "", "", LoginRefusedError,
    "the token service does not accept the login, or it may not use this repository",
    "check that the token is whole, not expired, of exactly this user, and good for pushes (GitHub:"
    " write:packages, GitLab: write_registry); then the user's right to this repository",
)  # fmt: skip
_SCOPE = Row(
    401, "", "", PushDeniedError, "the token does not carry the right to do that in this repository",
    "ask for the right to push to it, or give a repository in the own namespace; a token may be for reading"
    " only",
)  # fmt: skip
ROWS = (
    Row(
        0, "", r"token has expired|reauthenticate", LoginRefusedError, "the login has expired",
        "get a new token and log in again (notebook 02); one of Amazon ECR is good for 12 hours",
    ),
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
        0, "NotAuthorizedOrNotFound", "", PushDeniedError,
        "OCI says that this is not there or not allowed; it does not tell which of the two",
        "check the repository's name and region, then the policy (`Allow group <group> to manage repos in"
        " compartment <compartment>`)",
    ),
    _FORBIDDEN,
    Row(
        0, "DENIED", "", PushDeniedError, "this user may not do that in this repository",
        "ask for the right to push to it, or give a repository in the own namespace",
    ),
    Row(
        404, "NAME_UNKNOWN", r"not created on first push|does not exist", PushDeniedError,
        "the repository does not exist and a push does not create it",
        "create the repository first; in OCI: or turn on creation on first push in the tenancy and give the"
        " user the permission REPOSITORY_MANAGE",
    ),
    Row(
        404, "NAME_UNKNOWN", "", RegistryAnswerError, "the registry knows no such repository",
        "check the parameter repository; in OCI: its first part is the Object Storage namespace",
    ),
    Row(
        404, "MANIFEST_UNKNOWN", "", RegistryAnswerError, "the repository has no such tag or digest",
        "check the tag; push it first",
    ),
    Row(
        0, "BLOB_UPLOAD_UNKNOWN|BLOB_UPLOAD_INVALID", "", RegistryAnswerError,
        "the registry has lost the upload that was begun",
        "push again; if it stays, a load balancer leads the parts of one upload to different registries",
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
        0, "UNSUPPORTED", "", RegistryAnswerError, "the registry does not offer this operation",
        "nothing to mend here; the operation is switched off on the registry",
    ),
    Row(
        409, "", "", RegistryAnswerError, "the registry reports a conflict with something that exists",
        "another push may be running or the tag may be immutable: wait, or use another tag",
    ),
    Row(
        413, "", "", RegistryAnswerError, "the upload is larger than the registry takes",
        "make layers smaller; behind a proxy of your own raise its limit (nginx: client_max_body_size)",
    ),
    Row(429, "", "", RegistryAnswerError, _MANY, _FEWER),
    Row(0, "TOOMANYREQUESTS|TooManyRequests", "", RegistryAnswerError, _MANY, _FEWER),
    Row(
        0, "DIGEST_INVALID|SIZE_INVALID", "", RegistryAnswerError,
        "the registry received other bytes than were sent",
        "push again; if it stays, look for a proxy that alters or cuts uploads",
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
    Row(
        507, "", "", RegistryAnswerError, "the registry has no room left",
        "its operator must make room or raise the quota",
    ),
    *(
        Row(
            status, "", "", RegistryAnswerError, "something in front of the registry gets no answer from it",
            "try again in a minute; if it stays, the registry or its load balancer is down (see its status)",
        )
        for status in (502, 503, 504)
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
    except (ValueError, RecursionError):
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


def error_for(
    status: int,
    body: bytes,
    where: str,
    doing: str,
    headers: Mapping[str, str] | None = None,
    *,
    of_login: bool = False,
) -> RegistryError:
    """The typed error for an answer; `where` is host/repository, `doing` what was tried.

    `headers` of the answer: Retry-After is told to the reader, who then need not guess. `of_login`: a token
    service was given a login. GHCR and GitLab refuse a bad one with 403, as if a right were missing.
    """
    code, message = read_body(body)
    row = row_for(status, code, message)
    if of_login and row is _FORBIDDEN:
        row = _TOKEN_FORBIDDEN
    elif status == 401 and _lacks_scope(headers or {}):
        row = _SCOPE
    said = f"{code} {message}".strip()
    what = f"{doing}: {row.cause} (HTTP {status}{': ' + said if said else ''})"
    wait = seconds_to_wait((headers or {}).get("Retry-After", ""))
    remedy = f"wait {wait:.0f} s, as the registry asks; {row.remedy}" if wait else row.remedy
    return row.error(what, where=where, remedy=remedy, notebook=NOTEBOOK)


def _lacks_scope(headers: Mapping[str, str]) -> bool:
    """True where the challenge says so (RFC 6750, 3.1): the token was read, and is not enough."""
    with contextlib.suppress(RegistryAnswerError):
        return parse(headers.get("WWW-Authenticate", ""), "").error == "insufficient_scope"
    return False


def seconds_to_wait(retry_after: str) -> float:
    """Seconds of a Retry-After header (RFC 9110: a number or a date); 0 where it says nothing usable."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0


def _bare(body: bytes) -> str:
    """Text of an HTML page or of anything else, without tags, in one line."""
    return _clean(re.sub(r"<[^>]*>", " ", body[:4000].decode(errors="replace")))


def _clean(text: str) -> str:
    printable = "".join(c if c.isprintable() else " " for c in text)
    return redact(" ".join(printable.split()))[:_SHOWN]
