"""Proof of a push: what the registry serves now, compared with what the build said it pushed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from runbook_lib.errors import RegistryError
from runbook_lib.findings import Finding, Findings, Status
from runbook_lib.registry.client import Manifest, RegistryClient, sha256_of
from runbook_lib.registry.reference import Reference

_MOST_CHILDREN = 64
_WHOLE = 1 << 20  # bytes up to which a blob is read whole
_AGAIN = "push again, then read back again; if it stays, the registry is at fault"


def prove_push(client: RegistryClient, reference: Reference, digest: str) -> Findings:
    """One finding each for the tag, the manifest by digest (hashed here), and every blob it names.

    An index is followed to every child manifest. A registry whose bytes do not hash to the digest they
    are served under, or that names another digest in its header, fails by name.
    """
    found: list[Finding] = []
    if reference.tag:
        found.append(_tag(client, reference, digest))
    found += _manifest(client, reference, digest, depth=0)
    return Findings(found)


def _tag(client: RegistryClient, reference: Reference, digest: str) -> Finding:
    subject = f"tag {reference.name}:{reference.tag}"
    try:
        served = client.manifest(reference.repository, reference.tag)
    except RegistryError as e:
        return Finding.of_error(e, subject)
    if served.digest != digest:
        return Finding(
            Status.FAIL, subject, "the tag names another image than was pushed",
            f"expected {digest}, served {served.digest}",
            "someone else pushed this tag, or the push was lost: push again",
        )  # fmt: skip
    return _claim(served, subject, "the tag names the pushed digest")


def _claim(served: Manifest, subject: str, good: str) -> Finding:
    if served.claimed and served.claimed != served.digest:
        return Finding(
            Status.FAIL, subject, "the registry's header names another digest than its bytes have",
            f"header {served.claimed}, bytes {served.digest}", _AGAIN,
        )  # fmt: skip
    return Finding(Status.OK, subject, good, served.digest)


def _manifest(client: RegistryClient, reference: Reference, digest: str, depth: int) -> Iterator[Finding]:
    subject = f"manifest {digest[:19]}"
    try:
        served = client.manifest(reference.repository, digest)
    except RegistryError as e:
        yield Finding.of_error(e, subject)
        return
    if served.digest != digest:
        yield Finding(
            Status.FAIL, subject, "the registry serves other bytes under this digest",
            f"asked for {digest}, bytes hash to {served.digest}", _AGAIN,
        )  # fmt: skip
        return
    document = _document(served)
    if document is None:
        yield Finding(Status.FAIL, subject, "it is not a JSON manifest", served.media_type, _AGAIN)
        return
    yield _claim(served, subject, "its bytes hash to its digest")
    children = document.get("manifests")
    if isinstance(children, list):
        yield from _children(client, reference, children, subject, depth)
    else:
        yield from _blobs(client, reference, document, subject)


def _children(
    client: RegistryClient, reference: Reference, children: list[Any], subject: str, depth: int
) -> Iterator[Finding]:
    if depth > 1 or not 0 < len(children) <= _MOST_CHILDREN:
        yield Finding(
            Status.FAIL, subject, f"an index of {len(children)} manifests, {depth} deep, proves nothing",
            remedy=_AGAIN,
        )  # fmt: skip
        return
    for child in children:
        digest = str(child.get("digest", "")) if isinstance(child, dict) else ""
        yield from _manifest(client, reference, digest, depth + 1)


def _blobs(
    client: RegistryClient, reference: Reference, document: dict[str, Any], subject: str
) -> Iterator[Finding]:
    layers = document.get("layers")
    described = [document.get("config"), *(layers if isinstance(layers, list) else [])]
    if not all(isinstance(d, dict) and d.get("digest") and isinstance(d.get("size"), int) for d in described):
        yield Finding(Status.FAIL, subject, "it does not describe its config and layers", "", _AGAIN)
        return
    for item in {d["digest"]: d for d in described if d}.values():
        yield _blob(client, reference, str(item["digest"]), int(item["size"]))


def _blob(client: RegistryClient, reference: Reference, digest: str, size: int) -> Finding:
    subject = f"blob {digest[:19]}"
    try:
        served = client.blob_size(reference.repository, digest)
    except RegistryError as e:
        return Finding.of_error(e, subject)
    if served is None:
        return Finding(Status.FAIL, subject, "the registry does not have it", digest, _AGAIN)
    if served not in (-1, size):
        return Finding(
            Status.FAIL, subject, "its size is not the one in the manifest",
            f"{size} bytes, served {served}", _AGAIN,
        )  # fmt: skip
    try:
        return _read(client, reference, digest, size)
    except RegistryError as e:
        return Finding.of_error(e, subject)


def _read(client: RegistryClient, reference: Reference, digest: str, size: int) -> Finding:
    """A HEAD may be answered from what the registry remembers of a blob that it lost: so bytes are read.

    All of a small blob, and hashed; of a large one the last byte.
    """
    subject = f"blob {digest[:19]}"
    if size <= _WHOLE:
        body = client.blob(reference.repository, digest)
        if sha256_of(body) != digest:
            message = "its bytes do not hash to its digest"
            return Finding(Status.FAIL, subject, message, f"{len(body)} bytes, {sha256_of(body)}", _AGAIN)
        return Finding(Status.OK, subject, f"there, {size} bytes, read and hashed")
    end = client.blob_end(reference.repository, digest, size)
    if end is None:
        return Finding(Status.OK, subject, f"there, {size} bytes by the registry's word")
    if len(end) != 1:
        return Finding(Status.FAIL, subject, "its end is not served", f"of {size} bytes", _AGAIN)
    return Finding(Status.OK, subject, f"there, {size} bytes, its end read")


def _document(served: Manifest) -> dict[str, Any] | None:
    try:
        document = json.loads(served.body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
