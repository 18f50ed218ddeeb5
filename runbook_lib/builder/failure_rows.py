"""Kinds of failed builds as a table of what BuildKit says. The same for kubectl: tunnel_rows.

The first row whose pattern is found wins, so the narrow rows stand above the broad ones. Texts were seen
with BuildKit v0.34. They are read without names and addresses: a repository may be called `team-503`.
The words for what a registry answers are those of registry/explain.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from runbook_lib.errors import BuildFailedError, ConnectionLostError

AUTH = "02_configure_auth.ipynb"
POD = "01_install_pod.ipynb"
PUSH = "04_test_push.ipynb"


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of failure: pattern in the error text, its name, remedy, mending notebook and error."""

    pattern: re.Pattern[str]
    kind: str
    remedy: str
    notebook: str = PUSH
    error: type[BuildFailedError] = BuildFailedError


def row(
    pattern: str,
    kind: str,
    remedy: str,
    notebook: str = PUSH,
    error: type[BuildFailedError] = BuildFailedError,
) -> Row:
    """A row; its pattern is read without regard to case, over all lines."""
    return Row(re.compile(pattern, re.IGNORECASE | re.DOTALL), kind, remedy, notebook, error)


def lost(pattern: str) -> Row:
    """A row of the kind that is built again once."""
    return row(
        pattern,
        "the connection to the builder was lost",
        "check the builder pod (notebook 01), then build again: finished steps are in its cache",
        POD,
        ConnectionLostError,
    )


def _bad_dockerfile(pattern: str) -> Row:
    return row(
        pattern,
        "the Dockerfile cannot be used",
        "mend the Dockerfile, or correct the parameters dockerfile and context_dir",
    )


# How containerd and BuildKit write a status; before them stand the method and the address.
_STATUS = r"unexpected (?:HEAD )?status(?: code)?(?: from \S+ request(?: to \S+)?)?(?: \[[^\]]*\]| \S+)?: "
_URL = r'\b(?:head|get|put|post|patch|delete) "URL"'
_REGISTRY = rf"(?:failed to (?:push|do request|resolve|copy|load cache key)|{_URL})"

TABLE = (
    row(
        r"did not complete successfully: exit code",
        "a RUN instruction failed",
        "read the instruction's last lines above and mend it",
    ),
    _bad_dockerfile(r"dockerfile parse error|unknown instruction|file with no instructions"),
    lost(  # what only gRPC between buildctl and the daemon says
        r"has exited with (?:exit status|signal)|error reading from (?:server|error stream)"
        r"|error reading server preface|transport is closing|closing transport|graceful_stop"
        r"|code = Unavailable|client connection is closing|no active session|session .*not found"
    ),
    _bad_dockerfile(r"failed to read dockerfile|dockerfile.*no such file"),
    row(
        r'failed to calculate checksum|failed to compute cache key: "[^"]*"(?::| is)? not found',
        "a file to copy is not in the build context",
        "check the path in COPY or ADD, and .dockerignore",
    ),
    row(r"target stage .* could not be found", "the stage does not exist", "correct build_target"),
    row(
        r"error from sender: \w+ .+: (?:permission denied|operation not permitted|input/output error)"
        r"|\b(?:open|lstat|stat|read) (?!\S*(?:/buildkit/|/containerd|/proc/|/sys/))\S+: permission denied",
        "a file on this machine cannot be read",
        "give this user the right to read it, or name it in .dockerignore",
    ),
    row(  # only a local cache is sent to buildctl; the daemon's own content is below …/content/ingest
        r"failed to send write: .*(?:no space left on device|disk quota exceeded)"
        r"|(?<!/content)/ingest/\S+: no space left on device"
        r"|^(?:open|write|mkdir|rename|sync|close) \S+: no space left on device",
        "this machine's disk is full",
        "make room where local_cache and the temporary files are (TMPDIR), or name other folders",
    ),
    row(r"no space left on device", "the builder's disk is full", "prune the builder (notebook 90)", POD),
    row(
        r'failed to load cache key: (?:(?:get|head) "|invalid response status)',
        "an address named in ADD cannot be fetched",
        "check the address: the builder fetches it, with the pod's DNS, routes and certificates",
    ),
    row(
        r"x509:|certificate signed by unknown|tls: |http: server gave HTTP response to HTTPS",
        "the registry's certificate is not trusted",
        "give its CA in registry_ca and apply notebook 01 again: the builder needs it too",
        POD,
    ),
    row(
        r"cacheconfig|exporting cache|cache export|failed to export cache",
        "the cache export was refused",
        "the image may be pushed already; keep the cache local (parameter local_cache)",
    ),
    row(
        r"\bNotAuthorizedOrNotFound\b",
        "OCI says that this is not there or not allowed; it does not tell which of the two",
        "check the repository's name and region, then the policy (`Allow group <group> to manage repos in"
        " compartment <compartment>`)",
        AUTH,
    ),
    row(
        rf"failed to resolve source metadata.*(?:denied|not found|insufficient_scope|{_STATUS}40[134]\b"
        r"|unauthorized)",
        "an image named in FROM cannot be pulled",
        "check its name and tag; a private image, or a mirror, needs a login too (notebook 02)",
    ),
    row(  # buildctl itself asks for tokens, on this machine
        r"failed to fetch (oauth|anonymous) token.*"
        r"(connection re|timeout|dial tcp|no such host|unreachable|deadline exceeded|EOF)",
        "the registry's token service cannot be reached from this machine",
        "check the way from this machine to the registry (name, route, proxy), then build again",
        AUTH,
    ),
    row(
        rf"{_STATUS}507\b",
        "the registry has no room left",
        "its operator must make room or raise the quota",
        AUTH,
    ),
    row(
        rf"{_STATUS}(?:429|5\d\d)\b|toomanyrequests|failed to push _: unavailable\b",
        "the registry is busy or failing",
        "try again later",
    ),
    row(
        rf"{_STATUS}40[13]\b|unauthorized|insufficient_scope|authorization failed|failed to authorize"
        r"|(?<!permission )denied|failed to fetch (oauth|anonymous) token",
        "the registry refused the login or the push",
        "run notebook 02: it says whether the login or the permission is missing",
        AUTH,
    ),
    row(
        rf"name_unknown|{_STATUS}404\b|repository .* not found|repository name not known",
        "the registry has no such repository or image",
        "create the repository first (OCIR may not do it on push), or correct the name",
        AUTH,
    ),
    row(
        rf"{_STATUS}405\b|failed to push _: unsupported\b",
        "the registry does not offer this operation",
        "nothing to mend here; the operation is switched off on the registry",
        AUTH,
    ),
    row(
        rf"{_STATUS}409\b",
        "the registry reports a conflict with something that exists",
        "another push may be running or the tag may be immutable: wait, or use another tag",
        AUTH,
    ),
    row(
        rf"{_STATUS}413\b",
        "the upload is larger than the registry takes",
        "make layers smaller; behind a proxy of your own raise its limit (nginx: client_max_body_size)",
        AUTH,
    ),
    row(
        rf"{_STATUS}400\b",
        "the registry does not accept the request",
        "read the message of the registry; check host, repository and user name",
        AUTH,
    ),
    row(
        rf"{_REGISTRY}.*(?:\bEOF$|connection reset|broken pipe|goaway|\bhttp2: |closed network connection)",
        "the registry broke the connection off",
        "build again; if it stays, look for a proxy or load balancer that cuts uploads",
        AUTH,
    ),
    lost(rf"^(?!.*{_REGISTRY}).*(?:(?-i:Unavailable: )|\bEOF$)"),
    row(
        r"no such host|connection refused|i/o timeout|no route to host|network is unreachable|dial tcp"
        r"|deadline exceeded|connection reset",
        "the builder cannot reach a registry",
        "check the registry's name, and the pod's DNS and routes",
        POD,
    ),
)
NOT_TAKEN = row(
    r"failed to push",
    "the registry did not take the push",
    "run notebook 02: it tries an upload and says what the registry answers",
    AUTH,
)
