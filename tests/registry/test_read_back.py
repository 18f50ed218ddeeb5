"""How long a read-back goes on, and what it may not take for a proof: over fakes that count requests."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import pytest
from serving import Reply

from runbook_lib.credentials import SecretValue
from runbook_lib.errors import (
    LoginRefusedError,
    RegistryAnswerError,
    RegistryTlsError,
    RegistryUnreachableError,
    StepCancelledError,
)
from runbook_lib.findings import Findings, Status
from runbook_lib.registry import read_back
from runbook_lib.registry.client import Manifest, RegistryClient
from runbook_lib.registry.logins import Login
from runbook_lib.registry.read_back import prove_push
from runbook_lib.registry.reference import Reference
from runbook_lib.settings_sources import load
from runbook_lib.steps import test_push

from .fake_registry import Fake, fake_registry

HOST = "reg.example"


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layer(number: int) -> bytes:
    return f"layer {number}".encode()


def image(layers: int) -> bytes:
    described = [{"digest": digest_of(layer(n)), "size": len(layer(n))} for n in range(layers + 1)]
    return json.dumps({"config": described[0], "layers": described[1:]}).encode()


class FakeClient:
    """Serves an image of so many layers; after `begin` requests, `fails` is raised by all."""

    host = HOST

    def __init__(self, layers: int, fails: Exception | None = None, begin: int = 0) -> None:
        self.body = image(layers)
        self.blobs = {digest_of(layer(n)): layer(n) for n in range(layers + 1)}
        self.asked: Counter[str] = Counter()
        self._fails, self._begin = fails, begin

    def _ask(self, what: str) -> None:
        self.asked[what] += 1
        if self._fails is not None and self.asked.total() > self._begin:
            raise self._fails

    def manifest(self, _: str, ref: str) -> Manifest:
        self._ask("tag" if ":" not in ref else "manifest")
        return Manifest("application/json", digest_of(self.body), self.body)

    def blob_size(self, _: str, digest: str) -> int:
        self._ask("head")
        return len(self.blobs[digest])

    def blob(self, _: str, digest: str) -> bytes:
        self._ask("blob")
        return self.blobs[digest]


def proved(client: FakeClient, *tags: str, **more: Any) -> Findings:  # noqa: ANN401
    first, *also = [Reference(HOST, "ns/app", tag) for tag in tags or ("one",)]
    return prove_push(cast("RegistryClient", client), first, digest_of(client.body), also=tuple(also), **more)


def test_everything_is_looked_at_once_however_many_tags_there_are() -> None:
    client = FakeClient(100)
    found = proved(client, "one", "two")
    assert found.passed
    kinds = [f.subject.split()[0] for f in found]
    assert kinds == ["tag", "tag", "manifest", *["blob"] * 101]
    assert client.asked == {"tag": 2, "manifest": 1, "head": 101, "blob": 101}


@pytest.mark.parametrize("kind", [RegistryUnreachableError, RegistryTlsError, LoginRefusedError])
@pytest.mark.parametrize("begin", [0, 1, 2, 50])
def test_the_first_request_that_finds_no_registry_is_the_last(kind: type[Exception], begin: int) -> None:
    client = FakeClient(100, kind("it is gone"), begin)
    found = proved(client)
    assert client.asked.total() == begin + 1
    assert not found.passed
    if begin == 1:  # of a manifest that is not served, nothing is known that was left out
        assert list(found)[-1].message == "it is gone"
        return
    gone, left = list(found)[-2:]
    assert gone.message == "it is gone"
    if begin == 2:
        assert left.message == "it was given up; not looked at: 100"
        assert left.evidence.count("blob ") == 5
    assert left.subject == f"read-back of {HOST}/ns/app"
    assert left.status is Status.FAIL
    assert left.remedy


def test_what_one_object_lacks_does_not_end_the_others() -> None:
    client = FakeClient(3, RegistryAnswerError("HTTP 500"), 2)
    found = proved(client)
    assert client.asked["head"] == 4
    assert sum(f.status is Status.FAIL for f in found) == 4


def test_the_whole_is_bounded_and_large_images_have_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(read_back.time, "monotonic", lambda: now[0])

    class Slow(FakeClient):
        def _ask(self, what: str) -> None:
            super()._ask(what)
            now[0] += 9.0

    client = Slow(200)
    found = proved(client, request_timeout=10.0)
    limit = 10.0 * (20 + 0.2 * 203)
    assert limit < now[0] <= limit + 2 * 9.0
    assert not found.passed
    assert f"it did not end within {limit:g} s; not looked at:" in list(found)[-1].message
    now[0] = 0.0
    quick = Slow(1000)
    monkeypatch.setattr(quick, "_ask", lambda _: now.__setitem__(0, now[0] + 1.0))
    assert proved(quick, request_timeout=15.0).passed
    assert now[0] > 2000


def test_it_can_be_cancelled_between_two_objects() -> None:
    client = FakeClient(100)

    def go_on() -> None:
        if client.asked.total() >= 6:
            raise StepCancelledError("it was cancelled")

    with pytest.raises(StepCancelledError):
        proved(client, go_on=go_on)
    assert client.asked.total() == 6


BODY = b"x" * 10
DOCUMENT = json.dumps({"config": {"digest": digest_of(BODY), "size": 10}, "layers": []}).encode()
ENDS: dict[str, tuple[Reply, str]] = {
    "its end": ((206, {}, b"x"), "its end read"),
    "no ranges": ((200, {}, BODY), "by the registry's word"),
    "no ranges, and much": ((200, {}, b"x" * (9 << 20)), "by the registry's word"),
    "shorter": ((416, {}, b""), "its end is not served"),
    "an empty part": ((206, {}, b""), "its end is not served"),
    "refused": ((403, {}, b""), "HTTP 403"),
    "broken": ((500, {"Retry-After": "0"}, b""), "HTTP 500"),
    "a circle": ((302, {"Location": "/v2/ns/app/blobs/round"}, b""), "redirects in a circle"),
    "token service fails": ((401, {}, b""), "HTTP 503"),
}


@pytest.mark.parametrize(("answer", "said"), ENDS.values(), ids=ENDS)
def test_only_a_registry_without_ranges_is_taken_at_its_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Reply, said: str
) -> None:
    monkeypatch.setattr(read_back, "_WHOLE", 0)
    tokens: list[str] = []

    def reply(fake: Fake, method: str, path: str) -> Reply:
        if path.startswith("/token"):
            tokens.append(path)
            # The second one is asked for after the registry took the first no longer.
            fails = answer[0] == 401 and len(tokens) > 1
            return (503, {"Retry-After": "0"}, b"") if fails else (200, {}, b'{"token": "opaque-token"}')
        if path == "/v2/":
            realm = f'Bearer realm="https://{fake.host}/token",service="fake"'
            return 401, {"WWW-Authenticate": realm}, b""
        if "/manifests/" in path:
            return 200, {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}, DOCUMENT
        return (200, {}, BODY) if method == "HEAD" else answer

    with fake_registry(tmp_path, reply) as fake:
        login = Login("ns/u", SecretValue("t0ken-of-this-test"))
        with RegistryClient(fake.host, login, fake.ca, 5.0) as client:
            found = prove_push(client, Reference(fake.host, "ns/app", "one"), digest_of(DOCUMENT))
    last = list(found)[-1]
    assert said in last.message, str(found)
    assert found.passed is (said in ("its end read", "by the registry's word"))


def test_cancelling_the_step_ends_its_verification(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load({"registry": HOST, "repository": "ns/app", "run_dir": str(tmp_path)}, environ={})
    step = test_push.TestPush(settings, sink=lambda _: None)

    class Cancelling(FakeClient):
        def blob_size(self, repository: str, digest: str) -> int:
            step.cancelled.set()
            return super().blob_size(repository, digest)

    client = Cancelling(100)
    monkeypatch.setattr(test_push, "client_of", lambda *_: nullcontext(client))
    reference = f"{HOST}/ns/app:test.01"
    step.journal.fact(step.name, pushed_digest=digest_of(client.body), pushed_references=[reference])
    with pytest.raises(StepCancelledError):
        step.verify()
    assert client.asked == {"tag": 1, "manifest": 1, "head": 1, "blob": 1}
