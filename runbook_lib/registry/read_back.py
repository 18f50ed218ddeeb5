"""Proof of a push: what the registry serves now, compared with what the build said it pushed."""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from runbook_lib.errors import (
    LoginRefusedError,
    RegistryAnswerError,
    RegistryError,
    RegistryTlsError,
    RegistryUnreachableError,
)
from runbook_lib.findings import Finding, Findings, Status
from runbook_lib.registry.client import Manifest, RegistryClient, sha256_of
from runbook_lib.registry.explain import error_for
from runbook_lib.registry.reference import Reference

_MOST_CHILDREN = 64
_WHOLE = 1 << 20  # bytes up to which a blob is read whole
_AGAIN = "push again, then read back again; if it stays, the registry is at fault"
# After these, what is left would fail alike, each after its own time-out, or count as one more failed login.
_HOPELESS = (RegistryUnreachableError, RegistryTlsError, LoginRefusedError)
_REQUESTS = 20.0  # of `request_timeout`: what a read-back may take in all
_EACH = 0.2  # of `request_timeout`: what every manifest and blob adds, so that no image is too large
_TOO_LARGE = re.compile(r"the answer is larger than")  # how transport.py tells of one

_Look = Callable[[], Iterable[Finding]]


def prove_push(
    client: RegistryClient,
    reference: Reference,
    digest: str,
    *,
    also: Sequence[Reference] = (),
    request_timeout: float = 15.0,
    go_on: Callable[[], None] = lambda: None,
) -> Findings:
    """One finding each for the tag, the manifest by digest (hashed here), and every blob it names.

    An index is followed to every child manifest. A registry whose bytes do not hash to the digest they
    are served under, or that names another digest in its header, fails by name.

    `also`: further tags of the same repository that must name `digest`. The first request that finds no
    registry, or no way in, is the last; and all take at most 20 times `request_timeout` seconds, and a fifth
    of it more for every manifest and blob: what was not looked at then fails by name. `go_on` is called
    before each object, and may raise what shall end it, such as StepCancelledError.
    """
    proof = _Proof(client, reference, request_timeout)
    for tagged in (reference, *also):
        if tagged.tag:
            proof.add(f"tag {tagged.name}:{tagged.tag}", partial(_tag, proof, tagged.tag, digest))
    proof.add(_named(digest), partial(_manifest, proof, digest, depth=0))
    return Findings(proof.carried_out(go_on))


class _Proof:
    """What is yet to be looked at, in order; looking at a manifest puts what it names in front."""

    def __init__(self, client: RegistryClient, reference: Reference, request_timeout: float) -> None:
        self.client = client
        self.repository = reference.repository
        self.name = reference.name
        self._pace = request_timeout
        self._begun = time.monotonic()
        self._known = 0
        self._left: deque[tuple[str, _Look]] = deque()

    def add(self, subject: str, look: _Look) -> None:
        """Look at one more object, after the others."""
        self._left.append((subject, look))
        self._known += 1

    def next(self, looks: Sequence[tuple[str, _Look]]) -> None:
        """Look at these before the others."""
        self._left.extendleft(reversed(looks))
        self._known += len(looks)

    def carried_out(self, go_on: Callable[[], None]) -> Iterator[Finding]:
        """The findings of all looks, and of what there was no looking at."""
        while self._left:
            go_on()
            limit = self._pace * (_REQUESTS + _EACH * self._known)
            if time.monotonic() - self._begun > limit:
                yield self._not_looked_at(
                    f"it did not end within {limit:g} s; not looked at: {len(self._left)}"
                )
                return
            subject, look = self._left.popleft()
            try:
                yield from look()
            except RegistryError as e:
                yield Finding.of_error(e, subject)
                if isinstance(e, _HOPELESS) and self._left:
                    yield self._not_looked_at(f"it was given up; not looked at: {len(self._left)}")
                if isinstance(e, _HOPELESS):
                    return

    def _not_looked_at(self, message: str) -> Finding:
        subjects = [subject for subject, _ in self._left]
        shown = ", ".join(subjects[:5]) + (", …" if len(subjects) > 5 else "")
        return Finding(
            Status.FAIL, f"read-back of {self.name}", message, shown,
            "verify again once the registry answers",
        )  # fmt: skip


def _named(digest: str) -> str:
    return f"manifest {digest[:19]}"


def _tag(proof: _Proof, tag: str, digest: str) -> Iterator[Finding]:
    subject = f"tag {proof.name}:{tag}"
    served = proof.client.manifest(proof.repository, tag)
    if served.digest != digest:
        yield Finding(
            Status.FAIL, subject, "the tag names another image than was pushed",
            f"expected {digest}, served {served.digest}",
            "someone else pushed this tag, or the push was lost: push again",
        )  # fmt: skip
        return
    yield _claim(served, subject, "the tag names the pushed digest")


def _claim(served: Manifest, subject: str, good: str) -> Finding:
    if served.claimed and served.claimed != served.digest:
        return Finding(
            Status.FAIL, subject, "the registry's header names another digest than its bytes have",
            f"header {served.claimed}, bytes {served.digest}", _AGAIN,
        )  # fmt: skip
    return Finding(Status.OK, subject, good, served.digest)


def _manifest(proof: _Proof, digest: str, depth: int) -> Iterator[Finding]:
    subject = _named(digest)
    served = proof.client.manifest(proof.repository, digest)
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
        yield from _children(proof, children, subject, depth)
    else:
        yield from _blobs(proof, document, subject)


def _children(proof: _Proof, children: list[Any], subject: str, depth: int) -> Iterator[Finding]:
    if depth > 1 or not 0 < len(children) <= _MOST_CHILDREN:
        yield Finding(
            Status.FAIL, subject, f"an index of {len(children)} manifests, {depth} deep, proves nothing",
            remedy=_AGAIN,
        )  # fmt: skip
        return
    digests = [str(child.get("digest", "")) if isinstance(child, dict) else "" for child in children]
    proof.next([(_named(d), partial(_manifest, proof, d, depth + 1)) for d in digests])


def _blobs(proof: _Proof, document: dict[str, Any], subject: str) -> Iterator[Finding]:
    layers = document.get("layers")
    described = [document.get("config"), *(layers if isinstance(layers, list) else [])]
    if not all(isinstance(d, dict) and d.get("digest") and isinstance(d.get("size"), int) for d in described):
        yield Finding(Status.FAIL, subject, "it does not describe its config and layers", "", _AGAIN)
        return
    sizes = {str(d["digest"]): int(d["size"]) for d in described if d}
    proof.next([(f"blob {d[:19]}", partial(_blob, proof, d, size)) for d, size in sizes.items()])


def _blob(proof: _Proof, digest: str, size: int) -> Iterator[Finding]:
    subject = f"blob {digest[:19]}"
    served = proof.client.blob_size(proof.repository, digest)
    if served is None:
        yield Finding(Status.FAIL, subject, "the registry does not have it", digest, _AGAIN)
    elif served not in (-1, size):
        yield Finding(
            Status.FAIL, subject, "its size is not the one in the manifest",
            f"{size} bytes, served {served}", _AGAIN,
        )  # fmt: skip
    else:
        yield _read(proof.client, proof.repository, digest, size)


def _read(client: RegistryClient, repository: str, digest: str, size: int) -> Finding:
    """A HEAD may be answered from what the registry remembers of a blob that it lost: so bytes are read.

    All of a small blob, and hashed; of a large one the last byte.
    """
    subject = f"blob {digest[:19]}"
    if size <= _WHOLE:
        body = client.blob(repository, digest)
        if sha256_of(body) != digest:
            message = "its bytes do not hash to its digest"
            return Finding(Status.FAIL, subject, message, f"{len(body)} bytes, {sha256_of(body)}", _AGAIN)
        return Finding(Status.OK, subject, f"there, {size} bytes, read and hashed")
    end = _end(client, repository, digest, size)
    if end is None:
        return Finding(Status.OK, subject, f"there, {size} bytes by the registry's word")
    if len(end) != 1:
        return Finding(Status.FAIL, subject, "its end is not served", f"of {size} bytes", _AGAIN)
    return Finding(Status.OK, subject, f"there, {size} bytes, its end read")


def _end(client: RegistryClient, repository: str, digest: str, size: int) -> bytes | None:
    """The last byte of a blob, b"" where it is shorter; None only where the registry serves no ranges.

    RFC 9110, 14.2: such a one ignores the range and sends everything, which the transport gives up when it
    is much. Any other failure, such as a token service's, says nothing about ranges, and proves nothing.
    """
    try:
        answer = client.ask("GET", repository, f"blobs/{digest}", headers={"Range": f"bytes={size - 1}-"})
    except RegistryAnswerError as e:
        if _TOO_LARGE.match(e.what):
            return None
        raise
    if answer.status == 416:
        return b""
    if answer.status not in (200, 206):
        where, doing = f"{client.host}/{repository}", f"reading the end of blob {digest}"
        raise error_for(answer.status, answer.body, where, doing, answer.headers)
    return answer.body if answer.status == 206 else None


def _document(served: Manifest) -> dict[str, Any] | None:
    try:
        document = json.loads(served.body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
