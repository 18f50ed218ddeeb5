"""Does this registry take BuildKit's cache manifests? Ask it, with a control, and date the answer."""

from __future__ import annotations

import gzip
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from runbook_lib.errors import LoginRefusedError, PushDeniedError, RegistryAnswerError, RegistryError
from runbook_lib.registry.client import RegistryClient, sha256_of

CACHE_CONFIG = "application/vnd.buildkit.cacheconfig.v0"
_IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`accepted` is None where the probe did not find out; `date` is UTC, ISO 8601, to the second."""

    accepted: bool | None
    evidence: str
    date: str


def probe(client: RegistryClient, repository: str) -> Verdict:
    """Push a tiny cache-shaped manifest to a scratch tag, read it back, delete it where allowed.

    An ordinary manifest with the same layer goes first: only where that is taken does a refusal of the
    other say anything about caches. Registry faults give the verdict None and never raise.
    """
    tag = f"buildkit-runbook-probe-{secrets.token_hex(4)}"
    try:
        control = _push(client, repository, tag, _IMAGE_CONFIG)
    except RegistryError as e:
        return _verdict(None, f"an ordinary manifest was not taken either: {e.what}")
    left = _delete(client, repository, control)
    try:
        digest = _push(client, repository, tag, CACHE_CONFIG)
        served = client.manifest(repository, digest)
    except (LoginRefusedError, PushDeniedError) as e:
        return _verdict(None, e.what + left)
    except RegistryAnswerError as e:
        return _verdict(None if _passing(e) else False, e.what + left)
    except RegistryError as e:
        return _verdict(None, e.what + left)
    if served.digest != digest:
        return _verdict(None, f"pushed {digest}, but {served.digest} is served{left}")
    return _verdict(True, f"pushed and read back {digest}{_delete(client, repository, digest)}")


def _push(client: RegistryClient, repository: str, tag: str, config_type: str) -> str:
    layer = gzip.compress(bytes(1024), mtime=0)  # two zero blocks: an empty tar archive
    empty = {"layers": [], "records": []} if config_type == CACHE_CONFIG else _image_config()
    config = json.dumps(empty).encode()
    document = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _described(config_type, config, client.put_blob(repository, config)),
        "layers": [_described(_LAYER, layer, client.put_blob(repository, layer))],
    }
    return client.put_manifest(repository, tag, _MANIFEST, json.dumps(document).encode())


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


def _passing(error: RegistryAnswerError) -> bool:
    """True for answers that say nothing about caches: rate limits and server faults."""
    return "HTTP 429" in error.what or "HTTP 5" in error.what


def _verdict(accepted: bool | None, evidence: str) -> Verdict:
    return Verdict(accepted, evidence, datetime.now(UTC).isoformat(timespec="seconds"))
