"""BuildKit's release tarballs: where they are, and which sha256 their makers published for them."""

from __future__ import annotations

import json

from runbook_lib.builder.web import get_small

RELEASES = "https://github.com/moby/buildkit/releases/download"


def release_url(base: str, version: str, platform: str) -> str:
    """Address of a BuildKit release tarball, as the project names them since v0.3."""
    return f"{base.rstrip('/')}/{version}/buildkit-{version}.{platform.replace('/', '-')}.tar.gz"


def expected_sha256(given: str, url: str) -> tuple[str, str]:
    """(sha256 or "", where it is from): the parameter, else the release's provenance statement."""
    if given:
        return given, "buildctl_sha256"
    name = url.rpartition("/")[2]
    body = get_small(url.removesuffix(".tar.gz") + ".provenance.json")
    try:
        subjects = json.loads(body)["subject"] if body else []
        found = next((s["digest"]["sha256"] for s in subjects if s["name"].rpartition("/")[2] == name), "")
    except (ValueError, KeyError, TypeError, AttributeError):
        found = ""
    return str(found), "the release's provenance statement"
