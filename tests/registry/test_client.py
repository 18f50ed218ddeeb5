"""Logins, read-back and probe against a real registry; faults are injected at the wire."""

from __future__ import annotations

import time

import pytest

from runbook_lib.errors import LoginRefusedError, RegistryAnswerError, RegistryUnreachableError
from runbook_lib.findings import Findings, Status
from runbook_lib.registry import read_back
from runbook_lib.registry.cache_probe import CACHE_CONFIG, probe
from runbook_lib.registry.login import prove_login
from runbook_lib.registry.read_back import prove_push
from runbook_lib.registry.reference import Reference
from sandbox.double.lab import FEDERATED, NAMESPACE, NEWCOMER, OWNER, READER, Lab
from sandbox.double.lab_client import Client

from .conftest import MakeClient

REPOSITORY = f"{NAMESPACE}/app"


def push(lab: Lab, tag: str, content: bytes = b"layer") -> str:
    with Client(lab.host, str(lab.folder / "ca.pem"), OWNER, lab.passwords[OWNER]) as pusher:
        answer, digest = pusher.push_image(REPOSITORY, tag, content)
        assert answer.is_success
    return digest


def failures(findings: Findings) -> str:
    return " | ".join(f"{f.subject}: {f.message}" for f in findings if f.status is Status.FAIL)


@pytest.mark.parametrize("username", [OWNER, FEDERATED])
def test_a_good_login_is_proven_and_leaves_nothing(lab: Lab, client: MakeClient, username: str) -> None:
    lab.admin.clear_requests()
    with lab.admin.switch(refuse_delete_scope=False):
        found = prove_login(client(username), REPOSITORY)
    assert found.passed
    assert len(found) == 2
    seen = [(r["method"], r["status"]) for r in lab.admin.requests()["requests"] if "uploads" in r["path"]]
    assert (seen[0], seen[-1]) == (("POST", 202), ("DELETE", 204))


def test_a_cancel_that_is_not_allowed_is_said(client: MakeClient) -> None:
    found = prove_login(client(), REPOSITORY)
    assert found.passed
    assert any("did not confirm the cancel" in f.message for f in found)


def test_an_anonymous_token_with_http_200_is_no_login(client: MakeClient) -> None:
    found = prove_login(client(OWNER, "wrong-token"), REPOSITORY)
    assert "token is anonymous" in failures(found)


def test_an_upload_decides_where_the_anonymous_token_is_not_issued(lab: Lab, client: MakeClient) -> None:
    with lab.admin.switch(anonymous_token_on_bad_credentials=False):
        assert "HTTP 401" in failures(prove_login(client(OWNER, "wrong-token"), REPOSITORY))


def test_no_login_is_a_failure_not_an_anonymous_success(client: MakeClient) -> None:
    assert "no login" in failures(prove_login(client(""), REPOSITORY))


def test_a_reader_is_told_that_push_is_missing(client: MakeClient) -> None:
    assert "does not carry push" in failures(prove_login(client(READER), REPOSITORY))


def test_a_repository_that_must_exist_is_explained(lab: Lab, client: MakeClient) -> None:
    with lab.admin.switch(repository_must_exist=True):
        found = prove_login(client(NEWCOMER), f"{NAMESPACE}/not-there")
    assert "does not exist" in failures(found)
    assert any("create the repository" in f.remedy for f in found)


def test_a_pushed_image_reads_back(lab: Lab, client: MakeClient) -> None:
    digest = push(lab, "good")
    found = prove_push(client(), Reference(lab.host, REPOSITORY, "good"), digest)
    assert found.passed
    assert [f.subject.split()[0] for f in found] == ["tag", "manifest", "blob", "blob"]


def test_a_moved_tag_is_named(lab: Lab, client: MakeClient) -> None:
    digest, _other = push(lab, "moved", b"one"), push(lab, "other", b"two")
    with lab.admin.fault("moved_tag", to="other", path="/manifests/moved"):
        found = prove_push(client(), Reference(lab.host, REPOSITORY, "moved"), digest)
    assert "another image" in failures(found)


@pytest.mark.parametrize(("kind", "said"), [("corrupt", "other bytes"), ("wrong_digest", "another digest")])
def test_a_lying_registry_is_named(lab: Lab, client: MakeClient, kind: str, said: str) -> None:
    digest = push(lab, "lied")
    with lab.admin.fault(kind, method="GET", path="/manifests/"):
        found = prove_push(client(), Reference(lab.host, REPOSITORY, "lied"), digest)
    assert said in failures(found)


def test_a_missing_blob_is_named(lab: Lab, client: MakeClient) -> None:
    digest = push(lab, "holes")
    with lab.admin.fault("status", status=404, code="BLOB_UNKNOWN", method="HEAD", path="/blobs/"):
        found = prove_push(client(), Reference(lab.host, REPOSITORY, "holes"), digest)
    assert "does not have it" in failures(found)


@pytest.mark.parametrize("kind", ["corrupt", "status"])
def test_a_blob_that_is_there_only_by_word_is_named(lab: Lab, client: MakeClient, kind: str) -> None:
    digest = push(lab, "word")
    keys = {"status": 404} if kind == "status" else {}
    with lab.admin.fault(kind, method="GET", path="/blobs/", **keys):
        found = prove_push(client(), Reference(lab.host, REPOSITORY, "word"), digest)
    assert [f.subject.split()[0] for f in found if f.status is Status.FAIL] == ["blob", "blob"]
    assert kind == "status" or "do not hash" in failures(found)


def test_of_a_large_blob_the_end_is_read(
    lab: Lab, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_back, "_WHOLE", 0)
    digest = push(lab, "large")
    reference = Reference(lab.host, REPOSITORY, "large")
    assert [f.message for f in prove_push(client(), reference, digest)][-1].endswith("its end read")
    with lab.admin.fault("status", status=416, method="GET", path="/blobs/"):
        assert "its end is not served" in failures(prove_push(client(), reference, digest))


@pytest.mark.parametrize(("refuse", "accepted"), [(True, False), (False, True)])
def test_the_probe_finds_out(lab: Lab, client: MakeClient, refuse: bool, accepted: bool) -> None:
    with lab.admin.switch(refuse_cache_manifests=refuse):
        verdict = probe(client(), f"{NAMESPACE}/probe")
    assert verdict.accepted is accepted
    assert verdict.evidence
    assert verdict.date.endswith("+00:00")
    assert (CACHE_CONFIG in verdict.evidence) is refuse


def test_a_probe_without_rights_finds_nothing_out(client: MakeClient) -> None:
    assert probe(client(READER), f"{NAMESPACE}/probe").accepted is None


def test_reads_are_repeated_and_pushes_are_not(lab: Lab, client: MakeClient) -> None:
    push(lab, "again")
    with lab.admin.fault("status", status=503, method="GET", path="/manifests/again", times=2, retry_after=0):
        assert client().manifest(REPOSITORY, "again").digest
    number = lab.admin.add_fault("status", status=503, method="POST", path="/uploads/")
    with pytest.raises(RegistryAnswerError, match="gets no answer from it"):
        client().start_upload(REPOSITORY)
    assert next(f["struck"] for f in lab.admin.faults() if f["id"] == number) == 1


def test_a_rate_limit_is_bounded_and_explained(lab: Lab, client: MakeClient) -> None:
    push(lab, "limited")
    with (
        lab.admin.fault("status", status=429, path="/manifests/limited", retry_after=1),
        pytest.raises(RegistryAnswerError, match="too many requests"),
    ):
        client().manifest(REPOSITORY, "limited")


def test_silence_is_bounded(lab: Lab, client: MakeClient) -> None:
    begun = time.monotonic()
    with (
        lab.admin.fault("black_hole", path="/v2/", seconds=10),
        pytest.raises(RegistryUnreachableError, match="no answer within"),
    ):
        client(timeout=0.5).challenge()
    assert time.monotonic() - begun < 9


def test_an_expired_token_is_a_refused_login(lab: Lab, client: MakeClient) -> None:
    with lab.admin.fault("expired_token"), pytest.raises(LoginRefusedError) as caught:
        client().start_upload(REPOSITORY)
    assert caught.value.remedy
