"""The cache probe says no only where the manifest itself was refused, and leaves nothing it can delete."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

import httpx
import pytest

from runbook_lib.registry.cache_probe import CACHE_CONFIG, probe
from runbook_lib.registry.client import RegistryClient

HOST = "registry.example"
MANIFESTS, BLOBS = "/v2/team/app/manifests/", "/v2/team/app/blobs/"


def refusal(status: int, code: str, message: str = "") -> httpx.Response:
    return httpx.Response(status, json={"errors": [{"code": code, "message": message}]})


@dataclass
class Registry:
    """An open registry. `immutable`: a tag is taken once; the rest are answers in place of its own."""

    immutable: bool = False
    deletes: bool = True
    to_cache: httpx.Response | None = None
    to_cache_blob: httpx.Response | None = None
    to_reading: httpx.Response | None = None
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)

    def answer(self, request: httpx.Request) -> httpx.Response:
        path, content = request.url.path, request.read()
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        if path.startswith(MANIFESTS):
            return self.of_manifests(request.method, path.removeprefix(MANIFESTS), content, digest)
        if request.method == "HEAD":
            return httpx.Response(200 if path.removeprefix(BLOBS) in self.blobs else 404)
        if request.method == "POST":
            return httpx.Response(202, headers={"Location": f"{BLOBS}uploads/1"})
        if request.method == "PUT":
            if self.to_cache_blob and b"records" in content:
                return self.to_cache_blob
            self.blobs[digest] = content
            return httpx.Response(201)
        return httpx.Response(200)

    def of_manifests(self, method: str, ref: str, content: bytes, digest: str) -> httpx.Response:
        if method == "GET":
            return self.to_reading or httpx.Response(200, content=self.manifests[ref])
        if method == "DELETE":
            if self.deletes:
                self.manifests.pop(ref, None)
            return httpx.Response(202 if self.deletes else 405)
        if ref in self.tags and self.immutable:
            return refusal(400, "TAG_INVALID", f"The image tag '{ref}' already exists and is immutable")
        if self.to_cache and json.loads(content)["config"]["mediaType"] == CACHE_CONFIG:
            return self.to_cache
        self.tags.append(ref)
        self.manifests[digest] = content
        return httpx.Response(201)


def verdict(monkeypatch: pytest.MonkeyPatch, registry: Registry) -> tuple[bool | None, str]:
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda _, request: registry.answer(request))
    with RegistryClient(HOST, timeout=2, attempts=1) as client:
        found = probe(client, "team/app")
    return found.accepted, found.evidence


def test_tags_that_cannot_be_moved_are_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(immutable=True, deletes=False)
    accepted, evidence = verdict(monkeypatch, registry)
    assert accepted is True
    assert len(set(registry.tags)) == 2
    assert all(tag.startswith("buildkit-runbook-probe-") for tag in registry.tags)
    assert all(digest in evidence for digest in registry.manifests), "what stays is said"


def test_nothing_stays_where_it_can_be_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry()
    assert verdict(monkeypatch, registry)[0] is True
    assert registry.manifests == {}


ABOUT_IT = {
    "distribution": refusal(400, "MANIFEST_INVALID", "manifest invalid"),
    "ECR": refusal(405, "UNSUPPORTED", "Invalid parameter at 'ImageManifest' failed to satisfy constraint"),
    "by its message": refusal(400, "UNKNOWN", f"config media type {CACHE_CONFIG} is not allowed"),
    "no code": httpx.Response(415),
}
NOT_ABOUT_IT = {
    "tag": refusal(400, "TAG_INVALID", "the tag of this manifest is invalid"),
    "immutable": refusal(409, "MANIFEST_INVALID", "Immutable tag: it exists already"),
    "conflict": refusal(409, "CONFLICT", "another push is running"),
    "no right": refusal(403, "DENIED", "requested access is denied"),
    "no login": refusal(401, "UNAUTHORIZED"),
    "limit": refusal(429, "TOOMANYREQUESTS", "too many manifests"),
    "no room": refusal(507, "UNKNOWN", "no room for the manifest"),
    "fault": refusal(500, "MANIFEST_INVALID"),
    "page": httpx.Response(400, content=b"<html>Bad Request</html>"),
    "blob": refusal(404, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry"),
}


@pytest.mark.parametrize("answer", ABOUT_IT.values(), ids=ABOUT_IT)
def test_a_refusal_of_the_cache_manifest_is_a_no(
    monkeypatch: pytest.MonkeyPatch, answer: httpx.Response
) -> None:
    registry = Registry(to_cache=answer)
    accepted, evidence = verdict(monkeypatch, registry)
    assert accepted is False
    assert f"HTTP {answer.status_code}" in evidence
    assert registry.manifests == {}


@pytest.mark.parametrize("answer", NOT_ABOUT_IT.values(), ids=NOT_ABOUT_IT)
def test_a_refusal_for_another_reason_leaves_it_open(
    monkeypatch: pytest.MonkeyPatch, answer: httpx.Response
) -> None:
    accepted, evidence = verdict(monkeypatch, Registry(to_cache=answer))
    assert accepted is None
    assert f"HTTP {answer.status_code}" in evidence


@pytest.mark.parametrize("place", ["to_cache_blob", "to_reading"])
def test_a_fault_beside_the_push_leaves_it_open(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    registry = Registry(**{place: refusal(400, "MANIFEST_INVALID", CACHE_CONFIG)})  # type: ignore[arg-type]
    accepted, evidence = verdict(monkeypatch, registry)
    assert accepted is None
    assert "HTTP 400" in evidence
    assert registry.manifests == {}, "deleted all the same"


def test_other_bytes_that_are_served_leave_it_open(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(to_reading=httpx.Response(200, content=b"{}"))
    accepted, evidence = verdict(monkeypatch, registry)
    assert accepted is None
    assert "is served" in evidence
    assert registry.manifests == {}
