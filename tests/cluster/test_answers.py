"""What an API server, or what stands in its place, may answer: a typed error, in time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from dripping import WAYS, dripping
from serving import Reply, Replying, serving

from runbook_lib.cluster import objects
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.last_words import last_words, pod_log
from runbook_lib.errors import ClusterUnreachableError
from runbook_lib.settings_sources import load

CALLS: dict[str, Callable[[Cluster], object]] = {
    "version": lambda cluster: cluster.version(),
    "secret": lambda cluster: cluster.read_secret("ns", "name", "key"),
    "read": lambda cluster: objects.read(cluster, "Pod", "buildkitd"),
    "delete": lambda cluster: objects.delete(cluster, "Pod", "buildkitd"),
    "post": lambda cluster: objects.post(
        cluster, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {}
    ),
}


def a_log(cluster: Cluster) -> object:
    return pod_log(cluster, "Pod ns/b", "b")


def bound(host: str, folder: Path, timeout: float = 5.0) -> Cluster:
    kubeconfig = {
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": f"http://{host}"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "current-context": "c",
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    return Cluster.bind(
        load({"kubeconfig": str(folder / "kubeconfig"), "request_timeout": timeout}, environ={})
    )


@contextmanager
def server(*answers: Reply) -> Iterator[str]:
    """host:port of one that gives these answers in turn, and the last one from then on."""
    left = list(answers)

    class Handler(Replying):
        def reply(self) -> Reply:
            return left.pop(0) if len(left) > 1 else left[0]

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        with serving(running):
            yield f"127.0.0.1:{running.server_port}"


@pytest.mark.parametrize("statuses", [(429, 503), (503,), (429,)])
@pytest.mark.parametrize("asked", ["3600", "Fri, 31 Dec 2100 23:59:59 GMT", "9" * 400])
def test_a_server_that_asks_for_hours_is_not_waited_for(
    tmp_path: Path, statuses: tuple[int, ...], asked: str
) -> None:
    answers = [(status, {"Retry-After": asked}, b'{"message": "too busy"}') for status in statuses]
    with server(*answers) as host:
        cluster = bound(host, tmp_path)
        begun = time.monotonic()
        with pytest.raises(
            ClusterUnreachableError, match=rf"not able to answer now \({statuses[-1]}\): too busy"
        ) as caught:
            objects.read(cluster, "Pod", "buildkitd")
        assert time.monotonic() - begun < 5
    assert "wait 3600 s" in caught.value.remedy or "wait 21600 s" in caught.value.remedy


def test_a_server_that_asks_for_a_moment_is_asked_again(tmp_path: Path) -> None:
    busy = (429, {"Retry-After": "1"}, b"{}")
    with server(busy, busy, (200, {}, b'{"kind": "Pod"}')) as host:
        assert objects.read(bound(host, tmp_path), "Pod", "buildkitd") == {"kind": "Pod"}


@pytest.mark.parametrize("asked", ["soon", "9" * 5000, "-1"])
def test_a_retry_after_that_says_nothing_is_a_typed_error(tmp_path: Path, asked: str) -> None:
    with (
        server((429, {"Retry-After": asked}, b"{}")) as host,
        pytest.raises(ClusterUnreachableError) as caught,
    ):
        objects.read(bound(host, tmp_path), "Pod", "buildkitd")
    assert caught.value.remedy


@pytest.mark.parametrize("way", WAYS)
def test_an_answer_that_never_ends_is_left_in_time(tmp_path: Path, way: str) -> None:
    with dripping(way) as host:
        cluster = bound(host, tmp_path, timeout=0.6)
        for call in (CALLS["read"], CALLS["version"]):
            begun = time.monotonic()
            with pytest.raises(ClusterUnreachableError, match=r"does not answer|\(103\)") as caught:
                call(cluster)
            assert time.monotonic() - begun < 0.6 + 2
        time.sleep(0.3)  # the next piece has come
        assert [t for t in threading.enumerate() if t.name.startswith("GET ")] == []
    assert caught.value.remedy


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html", b"<html>Log in</html>"),
        ("application/json", b"<html>Log in</html>"),
        ("application/json", b"null"),
        ("application/json", b"[1]"),
        ("application/json", b"[" * 100_000),
        ("application/octet-stream", b"\xff\x00"),
        ("", b""),
    ],
    ids=["page", "lying page", "null", "list", "deep", "bytes", "nothing"],
)
def test_another_answer_than_an_object_is_said_to_come_from_elsewhere(
    tmp_path: Path, call: Callable[[Cluster], object], kind: str, body: bytes
) -> None:
    with (
        server((200, {"Content-Type": kind}, body)) as host,
        pytest.raises(ClusterUnreachableError, match="something other than the API server answers") as caught,
    ):
        call(bound(host, tmp_path))
    assert "login page" in caught.value.remedy
    assert host in caught.value.where


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html", b"<html>no such page: pods does not exist</html>"),
        ("text/plain", b"404 page not found\n"),
        ("application/json", b'{"message": "pods \\"buildkitd\\" not found"}'),
        ("application/json", b'[{"kind": "Status"}]'),
        ("application/json", b"[" * 100_000),
        ("application/octet-stream", b"\xff\x00"),
        ("", b""),
    ],
    ids=["page", "plain", "other JSON", "list", "deep", "bytes", "nothing"],
)
@pytest.mark.parametrize("call", [*CALLS.values(), a_log], ids=[*CALLS, "log"])
def test_not_found_is_believed_of_the_api_server_alone(
    tmp_path: Path, call: Callable[[Cluster], object], kind: str, body: bytes
) -> None:
    with (
        server((404, {"Content-Type": kind}, body)) as host,
        pytest.raises(ClusterUnreachableError, match="something other than the API server") as caught,
    ):
        call(bound(host, tmp_path))
    assert host in caught.value.where
    assert "login page" in caught.value.remedy


def test_what_the_api_server_does_not_have_is_none(tmp_path: Path) -> None:
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
    status["message"] = 'pods "buildkitd" not found'
    with server((404, {"Content-Type": "application/json"}, json.dumps(status).encode())) as host:
        assert objects.read(bound(host, tmp_path), "Pod", "buildkitd") is None
        assert not objects.delete(bound(host, tmp_path), "Pod", "buildkitd")


def test_a_redirect_to_a_login_page_is_not_followed(tmp_path: Path) -> None:
    with (
        server((302, {"Location": "https://sso.invalid/login"}, b"")) as host,
        pytest.raises(ClusterUnreachableError, match=r"something other .*\(302\)"),
    ):
        objects.read(bound(host, tmp_path), "Pod", "buildkitd")


LOG = "grün ".encode() * 3


@pytest.mark.parametrize("log", [LOG, LOG[:-3], b"\xff\xfe raw"], ids=["whole", "cut", "no text"])
def test_a_log_of_any_bytes_is_read(tmp_path: Path, log: bytes) -> None:
    with server((200, {"Content-Type": "text/plain"}, log)) as host:
        cluster = bound(host, tmp_path)
        assert pod_log(cluster, "Pod ns/b", "b", limit_bytes=9) == log.decode(errors="replace")
        assert last_words(cluster, "b") == log.decode(errors="replace").strip()


def test_a_log_that_may_not_be_read_is_said(tmp_path: Path) -> None:
    refusal = {
        "kind": "Status",
        "message": 'pods "b" is forbidden: User "u" cannot get resource "pods/log" in API group "" in the'
        ' namespace "ns"',
    }
    with server((403, {"Content-Type": "application/json"}, json.dumps(refusal).encode())) as host:
        assert "may not get pods/log" in last_words(bound(host, tmp_path), "b")


def test_the_client_s_own_reading_is_held_to_the_same(tmp_path: Path) -> None:
    from runbook_lib.cluster.api_errors import explained

    with server((200, {"Content-Type": "text/html"}, b"<html>")) as host:
        cluster = bound(host, tmp_path)
        with (
            pytest.raises(ClusterUnreachableError, match="something other"),
            explained(cluster.server, "Pods"),
        ):
            cluster.core.list_namespaced_pod("ns")
