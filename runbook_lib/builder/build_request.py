"""What to build and where to push it, as buildctl takes it; and what came of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbook_lib.builder.cache_guard import joined

_FROM = re.compile(r"\[.*\d/\d+\] FROM ")


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build and where to push it; `references` are host/repository:tag, all of one image.

    `authorities` are (host, CA file): buildctl itself fetches the tokens for all that the builder pulls and
    pushes, for mirrors too.
    """

    context: Path
    dockerfile: Path
    references: tuple[str, ...]
    authorities: tuple[tuple[str, str], ...] = ()
    target: str = ""
    platforms: tuple[str, ...] = ()
    build_args: tuple[tuple[str, str], ...] = ()
    cache_to: tuple[str, ...] = ()
    cache_from: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """buildctl's arguments after the address, without those of progress and metadata.

        No attestation is asked for: buildctl adds none by itself (buildx does), and OCIR is reported to
        answer 409 to provenance manifests (a single report).
        """
        args = ["build", "--frontend", "dockerfile.v0"]
        args += ["--local", f"context={self.context}", "--local", f"dockerfile={self.dockerfile.parent}"]
        options = {"filename": self.dockerfile.name} if self.dockerfile.name != "Dockerfile" else {}
        options |= {"target": self.target} if self.target else {}
        options |= {"platform": ",".join(self.platforms)} if self.platforms else {}
        options |= {f"build-arg:{key}": value for key, value in self.build_args}
        args += [word for key, value in options.items() for word in ("--opt", f"{key}={value}")]
        output = joined({"type": "image", "name": ",".join(self.references), "push": "true"})
        args += ["--output", output]
        args += [word for option in self.cache_to for word in ("--export-cache", option)]
        args += [word for option in self.cache_from for word in ("--import-cache", option)]
        for host, ca in self.authorities:
            args += ["--registry-auth-tlscontext", joined({"host": host, "ca": ca})]
        return args


@dataclass(frozen=True, slots=True)
class BuildResult:
    """A finished build: manifest digest, BuildKit's metadata, vertex records, seconds.

    `resumed`: the connection was lost once, and the build begun again.
    """

    digest: str
    metadata: dict[str, Any]
    vertices: list[dict[str, object]]
    seconds: float
    resumed: bool = False

    @property
    def cached(self) -> int:
        """How many steps came from a cache. FROM is not counted: it is marked wherever its image is there."""
        return sum(1 for v in self.vertices if v["cached"] and not _FROM.match(str(v["name"])))
