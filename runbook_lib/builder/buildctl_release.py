"""BuildKit's release tarballs: where they are, and which sha256 their makers published for them."""

from __future__ import annotations

from runbook_lib.builder.provenance import sha256_of_subject
from runbook_lib.builder.web import get_small

RELEASES = "https://github.com/moby/buildkit/releases/download"


def release_url(base: str, version: str, platform: str) -> str:
    """Address of a BuildKit release tarball, as the project names them since v0.3."""
    return f"{base.rstrip('/')}/{version}/buildkit-{version}.{platform.replace('/', '-')}.tar.gz"


def expected_sha256(given: str, url: str) -> tuple[str, str]:
    """(sha256 or "", where it is from): the parameter, else the release's provenance statement.

    Raises:
        ChecksumError: there is a statement, and it is not one of this archive.
        DownloadError: the server answers neither with a statement nor that it has none, or it is not https.
    """
    if given:
        return given, "buildctl_sha256"
    place = url.removesuffix(".tar.gz") + ".provenance.json"
    body = get_small(place)
    if body is None:
        return "", ""
    name, version = url.rpartition("/")[2], url.split("/")[-2]
    sha256, builder = sha256_of_subject(body, name, version, place)
    by = f", built by {builder}" if builder else ""
    return sha256, f"the release's provenance statement, which names this archive{by}"
