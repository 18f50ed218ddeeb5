"""OCIR's own rules, as pure decisions over a request; each can be switched off (see config.Switches)."""

import json
import re
from typing import Any

from sandbox.double.config import Switches
from sandbox.double.replies import Reply

# BuildKit's cache config, written by `--export-cache type=registry` in both of its forms (BuildKit, firm).
CACHE_CONFIG_MEDIA_TYPE = "application/vnd.buildkit.cacheconfig.v0"
_ATTESTATION_LAYER = "application/vnd.in-toto+json"
_REFERENCE_TYPE = "vnd.docker.reference.type"

_MANIFEST = re.compile(r"^/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)$")
_PUSH = re.compile(r"^/v2/(?P<name>.+)/(?:manifests/[^/]+|blobs/uploads/)$")
_REPOSITORY = re.compile(
    r"^/v2/(?P<name>.+)/(?:manifests|blobs|tags|referrers)/.+$|^/v2/(?P<upload>.+)/blobs/uploads/$"
)


def repository_of(path: str) -> str | None:
    """The repository name a registry path is about, or None (`/v2/`, `_catalog`, the token path)."""
    found = _REPOSITORY.match(path)
    return (found["name"] or found["upload"]) if found else None


def manifest_reference(path: str) -> tuple[str, str] | None:
    """Repository and tag or digest of a manifest path, or None for another path."""
    found = _MANIFEST.match(path)
    return (found["name"], found["reference"]) if found else None


def pushed_repository(method: str, path: str) -> str | None:
    """The repository this request would begin to push to: it opens an upload or puts a manifest."""
    if method not in {"POST", "PUT"}:
        return None
    found = _PUSH.match(path)
    if found is None or (method == "POST") != path.endswith("/uploads/"):
        return None
    return found["name"]


def catalog_refusal() -> Reply:
    """The answer to `/v2/_catalog`: OCIR has none; that it is a 404 of this code is our choice."""
    return Reply(404, "this registry has no catalog", code="UNSUPPORTED")


def missing_repository(name: str) -> Reply:
    """The refusal of a push that would have to create the repository.

    That the repository must exist is Oracle's documentation ("Creating a Repository"); status 404, code and
    wording are our choice.
    """
    return Reply(
        404,
        f"repository {name} does not exist, and it is not created on first push: "
        "the tenancy's setting is off or the user may not manage repositories",
        code="NAME_UNKNOWN",
    )


def anonymous_denied() -> Reply:
    """What users report OCIR to say when a token without a login reaches further than public repositories.

    The message is quoted in many public reports; status 403 is our choice.
    """
    return Reply(403, "Anonymous users are only allowed read access on public repos", code="DENIED")


def manifest_refusal(document: bytes, switches: Switches) -> Reply | None:
    """A refusal for a pushed manifest or index, or None; what is not JSON distribution refuses."""
    try:
        manifest = json.loads(document)
    except ValueError:
        return None
    if not isinstance(manifest, dict):
        return None
    if switches.refuse_cache_manifests and _is_cache(manifest):
        return Reply(
            400, f"manifest config media type {CACHE_CONFIG_MEDIA_TYPE} is not allowed", "MANIFEST_INVALID"
        )
    if switches.refuse_attestations and _is_attestation(manifest):
        # Status 409 is what one project reports; the code is our choice.
        return Reply(
            409, "the manifest conflicts with an existing one: attestations are not accepted", "CONFLICT"
        )
    return None


def _is_cache(manifest: dict[str, Any]) -> bool:
    described = [manifest.get("config"), *_descriptors(manifest, "manifests")]
    return any(
        isinstance(item, dict) and item.get("mediaType") == CACHE_CONFIG_MEDIA_TYPE for item in described
    )


def _is_attestation(manifest: dict[str, Any]) -> bool:
    if any(item.get("mediaType") == _ATTESTATION_LAYER for item in _descriptors(manifest, "layers")):
        return True
    annotations = [item.get("annotations") for item in _descriptors(manifest, "manifests")]
    return any(
        isinstance(item, dict) and item.get(_REFERENCE_TYPE) == "attestation-manifest" for item in annotations
    )


def _descriptors(manifest: dict[str, Any], key: str) -> list[dict[str, Any]]:
    items = manifest.get(key)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
