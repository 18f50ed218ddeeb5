"""Where distribution keeps a repository: what it really serves, behind the double."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Storage:
    """`root` is distribution's folder of version 2 of its layout."""

    root: Path
    repository: str

    def tag_link(self, tag: str) -> Path:
        """The file that holds the digest of a tag."""
        folder = self.root / "repositories" / self.repository / "_manifests" / "tags" / tag
        return folder / "current" / "link"

    def digest_of(self, tag: str) -> str:
        """The digest of a tag; "" where there is no such tag."""
        link = self.tag_link(tag)
        return link.read_text().strip() if link.exists() else ""

    def blob(self, digest: str) -> Path:
        """The file of a blob."""
        name = digest.removeprefix("sha256:")
        return self.root / "blobs" / "sha256" / name[:2] / name / "data"
