"""Does this registry take BuildKit's cache manifests? Ask it, with a control, and date the answer."""

from __future__ import annotations

import gzip
import json
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from runbook_lib.errors import RegistryAnswerError, RegistryError
from runbook_lib.registry.client import RegistryClient, sha256_of
from runbook_lib.registry.explain import error_for, read_body

CACHE_CONFIG = "application/vnd.buildkit.cacheconfig.v0"
_IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

_OF_MANIFESTS = ("MANIFEST_INVALID", "MANIFEST_UNVERIFIED", "UNSUPPORTED")


@dataclass(frozen=True, slots=True)
class Verdict:
    """`accepted` is None where the probe did not find out; `date` is UTC, ISO 8601, to the second."""

    accepted: bool | None
    evidence: str
    date: str


def probe(client: RegistryClient, repository: str) -> Verdict:
    """Push a tiny cache-shaped manifest to a scratch tag, read it back, delete it where allowed.

    An ordinary manifest with the same layer goes first: only where that is taken does a refusal of the
    other say anything about caches. Each has a tag of its own, for some registries let no tag be moved.
    Registry faults give the verdict None and never raise.
    """
    try:
        control = _push(client, repository, _document(client, repository, _IMAGE_CONFIG))
    except RegistryError as e:
        return _verdict(None, f"an ordinary manifest was not taken either: {e.what}")
    left = _delete(client, repository, control)
    try:
        digest = _push(client, repository, _document(client, repository, CACHE_CONFIG))
    except _RefusedError as e:
        return _verdict(False, e.what + left)
    except RegistryError as e:
        return _verdict(None, e.what + left)
    try:
        served = client.manifest(repository, digest).digest
        read = f"pushed {digest}, but {served} is served" if served != digest else ""
    except RegistryError as e:
        read = e.what
    left += _delete(client, repository, digest)
    return _verdict(None, read + left) if read else _verdict(True, f"pushed and read back {digest}{left}")


class _RefusedError(RegistryAnswerError):
    """The registry does not take this manifest, for what it is."""


def _document(client: RegistryClient, repository: str, config_type: str) -> bytes:
    """A manifest whose blobs are there."""
    layer = gzip.compress(bytes(1024), mtime=0)  # two zero blocks: an empty tar archive
    empty = {"layers": [], "records": []} if config_type == CACHE_CONFIG else _image_config()
    config = json.dumps(empty).encode()
    document = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _described(config_type, config, client.put_blob(repository, config)),
        "layers": [_described(_LAYER, layer, client.put_blob(repository, layer))],
    }
    return json.dumps(document).encode()


def _push(client: RegistryClient, repository: str, document: bytes) -> str:
    """The digest of the manifest, pushed as a tag that nobody has yet."""
    tag = f"buildkit-runbook-probe-{secrets.token_hex(4)}"
    headers = {"Content-Type": _MANIFEST}
    path = f"manifests/{tag}"
    answer = client.ask("PUT", repository, path, push=True, headers=headers, content=document)
    if answer.status in (200, 201):
        return sha256_of(document)
    where, doing = f"{client.host}/{repository}", f"pushing a manifest as {tag}"
    error = error_for(answer.status, answer.body, where, doing, answer.headers)
    if _is_about_the_manifest(answer.status, *read_body(answer.body)):
        raise _RefusedError(error.what, where=error.where, remedy=error.remedy)
    raise error


def _is_about_the_manifest(status: int, code: str, message: str) -> bool:
    """Not about its tag, a right, a limit, or a fault of the registry. Amazon ECR names its parameter."""
    if status in (401, 403, 429) or status >= 500 or code == "TAG_INVALID" or "immutable" in message.lower():
        return False
    named = re.search(r"cacheconfig|cache manifest|media ?type|ImageManifest", message, re.IGNORECASE)
    return status == 415 or code in _OF_MANIFESTS or named is not None


def _image_config() -> dict[str, object]:
    return {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [sha256_of(bytes(1024))]},
    }


def _described(media_type: str, data: bytes, digest: str) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


def _delete(client: RegistryClient, repository: str, digest: str) -> str:
    """Delete a probe's manifest; "" when gone, else a note of what was left behind."""
    try:
        gone = client.delete_manifest(repository, digest)
    except RegistryError:
        gone = False
    return "" if gone else f"; left behind, for the registry does not let us delete: {digest}"


def _verdict(accepted: bool | None, evidence: str) -> Verdict:
    return Verdict(accepted, evidence, datetime.now(UTC).isoformat(timespec="seconds"))
