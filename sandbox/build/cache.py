"""The build cache: one folder a tool, named by everything that decides its content.

A folder appears by one rename when its build is complete, with the digests of its programs in `record.json`.
What a killed build leaves behind has another name and is swept by the next build of that tool.
"""

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sandbox.build.tools import Tool
from sandbox.double.files import replace_file
from sandbox.errors import BuildError
from sandbox.paths import MODULES

_RECORD = "record.json"


@dataclass(frozen=True)
class Fingerprint:
    """A file as it was when recorded: size in bytes, modification time in ns, sha256 in hex."""

    size: int
    modified: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> "Fingerprint":
        """Read the file whole."""
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        status = path.stat()
        return cls(status.st_size, status.st_mtime_ns, digest)

    def matches(self, path: Path, *, full: bool) -> bool:
        """Whether the file is still the same: by size and time, or by its whole content."""
        try:
            status = path.stat()
            same = (status.st_size, status.st_mtime_ns) == (self.size, self.modified)
            return same and (not full or Fingerprint.of(path).sha256 == self.sha256)
        except OSError:
            return False


def cache_key(tool: Tool, toolchain: str, architecture: str) -> str:
    """`<name>-<version>-<hash>`: the hash covers module files, flags, Go version and architecture."""
    digest = hashlib.sha256()
    folder = MODULES / tool.name
    sources = sorted(path for path in folder.iterdir() if path.suffix in {".go", ".mod", ".sum"})
    for path in sources:
        digest.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    facts = (tool.build_flags(), sorted(tool.programs.items()), sorted(tool.links.items()), tool.cgo)
    digest.update(repr((facts, toolchain, architecture)).encode())
    return f"{tool.name}-{tool.version}-{digest.hexdigest()[:12]}"


def program_paths(folder: Path, tool: Tool) -> dict[str, Path]:
    """Each program name and its path in a cache folder."""
    return {name: folder / "bin" / name for name in tool.names}


def is_intact(folder: Path, tool: Tool, *, full: bool = False) -> bool:
    """Whether a cache folder holds every program exactly as recorded; never raises for a damaged one."""
    try:
        record: dict[str, Any] = json.loads((folder / _RECORD).read_bytes())
        files = {name: Fingerprint(**facts) for name, facts in record["programs"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        return False
    paths = program_paths(folder, tool)
    present = all(path.exists() for path in paths.values())
    return (
        present
        and bool(files)
        and all(facts.matches(folder / "bin" / name, full=full) for name, facts in files.items())
    )


def publish(work: Path, folder: Path, tool: Tool, origin: str) -> None:
    """Record the programs in `work/bin`, make the links and put the folder in place by a rename."""
    programs = [path for path in sorted((work / "bin").iterdir()) if not path.is_symlink()]
    if not programs:
        raise BuildError(
            "the build left no program", f"{tool.name} {tool.version}", "Run it again and read its output."
        )
    for name, target in tool.links.items():
        link = work / "bin" / name
        if not link.exists():
            link.symlink_to(target)
    missing = [name for name in tool.names if not (work / "bin" / name).exists()]
    if missing:
        raise BuildError(
            "programs are missing after the build", ", ".join(missing), f"Check sandbox/go/{tool.name}."
        )
    record = {"origin": origin, "programs": {path.name: asdict(Fingerprint.of(path)) for path in programs}}
    replace_file(work / _RECORD, json.dumps(record, indent=1).encode(), mode=0o644)
    if folder.exists():
        shutil.rmtree(folder)
    work.chmod(0o755)
    work.rename(folder)


def origin(folder: Path) -> str:
    """Where the programs came from: `build` or a release's address; empty when unknown."""
    try:
        return str(json.loads((folder / _RECORD).read_bytes())["origin"])
    except (OSError, ValueError, KeyError):
        return ""


def sweep(root: Path, tool_name: str) -> None:
    """Remove what killed builds of this tool left behind; call it under the tool's lock."""
    for leftover in root.glob(f".building-{tool_name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def work_folder(root: Path, tool_name: str) -> Path:
    """A fresh folder on the cache's file system for a build at work."""
    folder = root / f".building-{tool_name}-{os.getpid()}"
    (folder / "bin").mkdir(parents=True)
    return folder
