"""Real texts of failed builds: each has its class (a lost connection alone is retried) and its cause.

Most were printed by buildctl v0.34 and kubectl v1.37 against servers that misbehave.
"""

from __future__ import annotations

import pytest

from runbook_lib.builder.failures import explained
from runbook_lib.builder.progress_json import Progress
from runbook_lib.errors import BuildFailedError, ConnectionLostError
from runbook_lib.registry.explain import row_for

SOLVE = "failed to solve: "
PUSH = f"{SOLVE}failed to push 127.0.0.1:5000/team-503/denied:404: "
UPLOADS = "http://127.0.0.1:5000/v2/team-503/denied/blobs/uploads/"
POST = f"{PUSH}unexpected status from POST request to {UPLOADS}: "
FROM = (
    f"{SOLVE}127.0.0.1:5000/team-503/base:404: "
    "failed to resolve source metadata for 127.0.0.1:5000/team-503/base:404: "
)
HEAD = 'failed to do request: Head "https://127.0.0.1:5000/v2/team-503/base/manifests/404": '
EXEC = (
    "command [kubectl --context=k --namespace=ns exec --container=buildkitd -i buildkitd"
    " -- buildctl dial-stdio] has exited with exit status 1, make sure the URL is valid,"
    " and Docker 18.09 or later is installed on the remote host: stderr="
)
LISTING = "listing workers for Build: failed to list workers: Unavailable: connection error: desc = "
TRIED = 'E1125 06:59:59.138 25613 memcache.go:381] "Couldn\'t get current server API group list" err="{0}"\n'


def quoted(said: str, exit_status: str = "exit status 1") -> str:
    """As buildctl tells that it could not connect: all in one line, quoted by Go."""
    escaped = f"{said}\n".replace('"', '\\"').replace("\n", "\\n") if said else ""
    return f'{LISTING}"error reading server preface: {EXEC.replace("exit status 1", exit_status)}{escaped}"'


def plain(said: str) -> str:
    """As buildctl tells that a stream has ended: kubectl's line ends stay."""
    return (
        "failed to receive status: rpc error: code = Unavailable desc = error reading from server: "
        f"{EXEC}{said}\n"
    )


FORBIDDEN = (
    'pods "buildkitd" is forbidden: User "dev" cannot create resource "pods/exec" in API group ""'
    ' in the namespace "ns"'
)
LOGGED_IN = "error: You must be logged in to the server (Unauthorized)"
NO_CA = "tls: failed to verify certificate: x509: certificate signed by unknown authority"
REFUSED = "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?"
DIALLED = (
    'Get \\"https://10.0.0.1:6443/api?timeout=32s\\": dial tcp 10.0.0.1:6443: connect: connection refused'
)
PAGE = "<html><body><h1>502 Bad Gateway</h1></body></html>"

OF_THE_CLUSTER = [
    (quoted(LOGGED_IN), "does not know this identity"),
    (plain(LOGGED_IN), "does not know this identity"),
    (LOGGED_IN, "does not know this identity"),
    (quoted("error: unable to upgrade connection: Unauthorized"), "does not know this identity"),
    (
        quoted(
            TRIED.format("the server has asked for the client to provide credentials")
            * 4
            + "error: You must be logged in to the server"
            " (the server has asked for the client to provide credentials)"
        ),
        "does not know this identity",
    ),
    (
        quoted("Unable to connect to the server: getting credentials: exec: executable oci not found"),
        "identity's credential",
    ),
    (quoted(f"Error from server (Forbidden): {FORBIDDEN}"), "may not exec"),
    (plain(f"Error from server (Forbidden): {FORBIDDEN}"), "may not exec"),
    (quoted(f"error: unable to upgrade connection: {FORBIDDEN}"), "may not exec"),
    (quoted('Error from server (NotFound): pods "buildkitd" not found'), "builder Pod is not there"),
    (plain('Error from server (NotFound): pods "buildkitd" not found'), "builder Pod is not there"),
    (quoted('Error from server (NotFound): namespaces "ns" not found'), "builder Pod is not there"),
    (
        quoted("error: cannot exec into a container in a completed pod; current phase is Failed"),
        "builder Pod is not there",
    ),
    (
        quoted(TRIED.format(NO_CA) * 4 + f"Unable to connect to the server: {NO_CA}"),
        "certificate of the API server",
    ),
    (quoted('error: context "k" does not exist'), "kubeconfig cannot be used"),
    (
        quoted('error: error loading config file "/home/dev/kc": yaml: line 1: did not find expected node'),
        "kubeconfig cannot be used",
    ),
    (quoted(f"error: unable to upgrade connection: {PAGE}"), "a proxy before it"),
    (quoted(f"Error from server (InternalError): an error on the server ({PAGE})"), "a proxy before it"),
    (quoted("Error from server (TooManyRequests): the server has received too many requests"), "a proxy"),
    (
        quoted(
            TRIED.format('Get \\"https://api.invalid/api?timeout=32s\\": dial tcp: lookup api.invalid')
            + "Unable to connect to the server: dial tcp: lookup api.invalid: no such host"
        ),
        "API server does not answer",
    ),
    (
        quoted("error: unable to upgrade connection: container buildkitd is not valid for pod buildkitd"),
        "no container in which buildctl runs",
    ),
    (quoted('error: the server doesn\'t have a resource type "pods"'), "kubectl does not reach the builder"),
]
OF_A_DEAD_STREAM = [
    quoted(TRIED.format(DIALLED) * 4 + REFUSED),
    quoted("Unable to connect to the server: net/http: TLS handshake timeout"),
    quoted("error: unexpected EOF"),
    quoted(""),
    quoted("", "signal: killed"),
    quoted(
        "error: unable to upgrade connection: error dialing backend: dial tcp 10.0.0.9:10250: i/o timeout"
    ),
    quoted('error: unable to upgrade connection: container not found ("buildkitd")'),
    plain("command terminated with exit code 137"),
    plain("error: dial unix /run/buildkit/buildkitd.sock: connect: no such file or directory"),
    plain("error: error reading from error stream: next reader: read tcp: use of closed network connection"),
    "error reading from error stream: next reader: read tcp 127.0.0.1:1: connection reset by peer",
    "failed to receive status: rpc error: code = Unavailable desc = error reading from server: EOF",
    f'{LISTING}"error reading server preface: read |0: file already closed"',
    f'{LISTING}"transport: Error while dialing: dial unix /run/bk.sock: connect: connection refused"',
    "failed to receive status: rpc error: code = Unavailable desc = keepalive ping failed to receive ACK",
    f"{SOLVE}failed to read dockerfile: no active session for x1y2: context deadline exceeded",
    f"{SOLVE}EOF",
]
OF_THE_BUILD = [
    (f'{PUSH}failed to do request: Put "{UPLOADS}u1?digest=sha256%3Aaa": EOF', "broke the connection off"),
    (f'{PUSH}failed to copy: failed to do request: Put "{UPLOADS}u1": write: broken pipe', "broke the conn"),
    (f"{FROM}{HEAD}EOF", "broke the connection off"),
    (f"{FROM}{HEAD}unexpected EOF", "broke the connection off"),
    (f'{SOLVE}failed to load cache key: Get "https://x.example/file": EOF', "named in ADD"),
    (f"{SOLVE}failed to load cache key: invalid response status 503", "named in ADD"),
    (f"{FROM}{HEAD}dial tcp 10.0.0.2:5000: connect: connection refused", "cannot reach a registry"),
    (f"{FROM}{HEAD}{NO_CA}", "the registry's certificate"),
    (f"{FROM}unexpected status from HEAD request to {UPLOADS}: 403 Forbidden\nunknown: x", "named in FROM"),
    (f"{FROM}unexpected status from HEAD request to {UPLOADS}: 500 Internal Server Error", "busy or failing"),
    (f"{FROM}127.0.0.1:5000/team-503/base:404: not found", "named in FROM"),
    (f"{POST}400 Bad Request", "does not accept the request"),
    (f"{POST}405 Method Not Allowed", "does not offer this operation"),
    (f"{POST}409 Conflict", "reports a conflict"),
    (f"{POST}413 Request Entity Too Large: <html><title>no</title></html>", "larger than the registry"),
    (f"{SOLVE}failed to copy: unexpected status: 413 Request Entity Too Large", "larger than the registry"),
    (f"{POST}401 Unauthorized", "refused the login or the push"),
    (f"{POST}404 Not Found", "no such repository"),
    (f'{POST}404 Not Found: {{"code":"NotAuthorizedOrNotFound"}}', "does not tell which of the two"),
    (f"{POST}429 Too Many Requests", "busy or failing"),
    (f"{POST}507 Insufficient Storage", "no room left"),
    (f"{POST}502 Bad Gateway: {PAGE}", "busy or failing"),
    (f"{PUSH}unauthorized", "refused the login or the push"),
    (f"{PUSH}denied", "refused the login or the push"),
    (f"{PUSH}denied: permission_denied: write_package", "refused the login or the push"),
    (f"{PUSH}unsupported", "does not offer this operation"),
    (f"{PUSH}toomanyrequests", "busy or failing"),
    (f"{PUSH}unavailable: service unavailable", "busy or failing"),
    (f"{PUSH}unknown: tag is immutable", "did not take the push"),
    (
        f"{PUSH}failed to authorize: failed to fetch oauth token: unexpected status from POST request to"
        " https://r.example/token: 503 Service Unavailable",
        "busy or failing",
    ),
    (f"{SOLVE}error from sender: open /ctx/private: permission denied", "on this machine cannot be read"),
    (f"{SOLVE}open /ctx/private: permission denied", "on this machine cannot be read"),
    (
        f"{SOLVE}error writing layer blob: failed to copy: failed to send write: rpc error: code = Unknown"
        f" desc = write /home/dev/cache/ingest/{'8' * 64}/data: no space left on device",
        "this machine's disk is full",
    ),
    (
        "write /tmp/buildkit-runbook-x/metadata.json: no space left on device",
        "this machine's disk is full",
    ),
    (
        f"{SOLVE}write /var/lib/buildkit/runc-overlayfs/content/ingest/{'8' * 64}/data:"
        " no space left on device",
        "the builder's disk is full",
    ),
    (
        f"{SOLVE}ResourceExhausted: failed to compute cache key: write"
        f" /var/lib/buildkit/runc-overlayfs/content/ingest/{'8' * 64}/ref: no space left on device",
        "the builder's disk is full",
    ),
    (f'{SOLVE}process "/bin/sh -c echo EOF" did not complete successfully: exit code: 1', "RUN instruction"),
    (f"{SOLVE}dockerfile parse error on line 1: unknown instruction: EOF", "the Dockerfile cannot be used"),
]


def error_of(text: str) -> BuildFailedError:
    progress = Progress()
    for line in f"error: {text}\n".splitlines(keepends=True):
        list(progress.feed(line.encode()))
    return explained(progress, 1)


@pytest.mark.parametrize(("text", "cause"), OF_THE_CLUSTER)
def test_what_the_cluster_refuses_is_told_of_the_cluster_and_not_retried(text: str, cause: str) -> None:
    error = error_of(text)
    assert type(error) is BuildFailedError
    assert cause in error.what
    assert "registry" not in error.what + error.remedy
    assert error.notebook == "01_install_pod.ipynb"
    assert "memcache.go" not in error.what


@pytest.mark.parametrize("text", OF_A_DEAD_STREAM)
def test_a_stream_that_died_is_a_lost_connection(text: str) -> None:
    error = error_of(text)
    assert type(error) is ConnectionLostError
    assert "the connection to the builder was lost" in error.what


@pytest.mark.parametrize(("text", "cause"), OF_THE_BUILD)
def test_what_a_registry_or_a_file_does_is_no_lost_connection(text: str, cause: str) -> None:
    error = error_of(text)
    assert type(error) is BuildFailedError
    assert cause in error.what
    assert error.remedy


@pytest.mark.parametrize("status", [400, 405, 409, 413, 507])
def test_a_status_in_mid_push_is_told_as_by_the_other_notebooks(status: int) -> None:
    row = row_for(status, "", "")
    error = error_of(f"{POST}{status} Something")
    assert error.what.startswith(row.cause)
    assert error.remedy == row.remedy


def test_oci_tells_the_same_in_mid_push() -> None:
    row = row_for(404, "NotAuthorizedOrNotFound", "")
    error = error_of(f'{POST}404 Not Found: {{"code":"NotAuthorizedOrNotFound"}}')
    assert error.what.startswith(row.cause)
    assert error.remedy == row.remedy
