"""Assembling the images into one cached OCI layout, and putting them into a registry's storage."""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from sandbox.build.debian import ensure_packages
from sandbox.build.golang import architecture
from sandbox.console import Reporter
from sandbox.double.files import replace_file
from sandbox.errors import BuildError
from sandbox.images.layers import Blob, Entry, Layer, write_blob, write_layer
from sandbox.images.recipes import PACKAGES, Recipe, recipes
from sandbox.locks import hold

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True)
class Image:
    """A tagged image in the layout: its manifest and every blob the manifest names, as `sha256:<hex>`."""

    repository: str
    tags: tuple[str, ...]
    manifest: str
    blobs: tuple[str, ...]


@dataclass(frozen=True)
class Images:
    """The assembled images and the OCI layout folder that holds their blobs."""

    folder: Path
    images: tuple[Image, ...]

    def blob(self, digest: str) -> Path:
        """The file of a blob."""
        return self.folder / "blobs" / "sha256" / digest.removeprefix("sha256:")


def ensure_images(cache: Path, programs: dict[str, Path], reporter: Reporter) -> Images:
    """The images for these programs, assembled when the cache has none for exactly these inputs."""
    ensure_packages(PACKAGES, "the sandbox's images", reporter)
    wanted = recipes(programs)
    folder = cache / f"images-{_inputs_digest(wanted)}"
    if not (folder / "index.json").exists():
        with hold(cache / "images.lock", "the assembly of the images", 300, reporter):
            if not (folder / "index.json").exists():
                with reporter.task("assembling the images (usually 5 s)"):
                    _assemble(wanted, folder)
    return _read(folder)


def _inputs_digest(wanted: list[Recipe]) -> str:
    """A digest over everything that goes into the images; files by size and time, which the cache keeps."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for recipe in wanted:
        digest.update(repr((recipe.repository, recipe.tags, sorted(recipe.config.items()))).encode())
        for entry in (entry for layer in recipe.layers for entry in layer):
            digest.update(repr(entry).encode())
            if entry.source:
                status = entry.source.stat()
                digest.update(f"{status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()[:12]


def _assemble(wanted: list[Recipe], folder: Path) -> None:
    for leftover in folder.parent.glob(".images-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    work = folder.with_name(f".{folder.name}-{os.getpid()}")
    blobs = work / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    try:
        made: dict[tuple[Entry, ...], Layer] = {}
        manifests = []
        for recipe in wanted:
            for entries in recipe.layers:
                if entries not in made:
                    made[entries] = write_layer(entries, blobs)
            manifest = _manifest(recipe, [made[entries] for entries in recipe.layers], blobs)
            manifests.append(_descriptor(_MANIFEST, manifest) | {"annotations": _names(recipe)})
        (work / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        index = {"schemaVersion": 2, "manifests": manifests}
        (work / "index.json").write_text(json.dumps(index, indent=1))
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _names(recipe: Recipe) -> dict[str, str]:
    return {"sandbox.repository": recipe.repository, "sandbox.tags": " ".join(recipe.tags)}


def _descriptor(media_type: str, blob: Blob) -> dict[str, object]:
    return {"mediaType": media_type, "digest": blob.digest, "size": blob.size}


def _manifest(recipe: Recipe, layers: list[Layer], blobs: Path) -> Blob:
    config = {
        "architecture": architecture(),
        "os": "linux",
        "config": recipe.config,
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created_by": "buildkit sandbox"} for _ in layers],
    }
    stored = write_blob(json.dumps(config, sort_keys=True).encode(), blobs)
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _descriptor(_CONFIG, stored),
        "layers": [_descriptor(_LAYER, layer.blob) for layer in layers],
    }
    return write_blob(json.dumps(manifest).encode(), blobs)


def _read(folder: Path) -> Images:
    try:
        index = json.loads((folder / "index.json").read_bytes())
        images = []
        for entry in index["manifests"]:
            digest, names = entry["digest"], entry["annotations"]
            manifest = json.loads((folder / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes())
            blobs = (manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"]))
            tags = tuple(names["sandbox.tags"].split())
            images.append(Image(names["sandbox.repository"], tags, digest, blobs))
    except (OSError, ValueError, KeyError) as error:
        raise BuildError("the cached images are damaged", str(folder), "Remove that folder.") from error
    return Images(folder, tuple(images))


def seed_storage(images: Images, storage: Path) -> int:
    """Put every image into a registry's filesystem storage; returns how many files that took.

    The folders are those of distribution v3.1.2 (registry/storage/paths.go). Writing them takes
    milliseconds where a push would copy and hash everything again; links already there are left alone.
    """
    root = storage / "docker" / "registry" / "v2"
    written = 0
    for image in images.images:
        repository = root / "repositories" / image.repository
        for digest in (*image.blobs, image.manifest):
            written += _link_blob(images.blob(digest), _data(root, digest))
        for digest in image.blobs:
            written += _point(repository / "_layers" / "sha256" / _hex(digest) / "link", digest)
        revision = repository / "_manifests" / "revisions" / "sha256" / _hex(image.manifest)
        written += _point(revision / "link", image.manifest)
        for tag in image.tags:
            folder = repository / "_manifests" / "tags" / tag
            written += _point(folder / "index" / "sha256" / _hex(image.manifest) / "link", image.manifest)
            written += _point(folder / "current" / "link", image.manifest)
    return written


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")


def _data(root: Path, digest: str) -> Path:
    value = _hex(digest)
    return root / "blobs" / "sha256" / value[:2] / value / "data"


def _link_blob(source: Path, target: Path) -> int:
    if target.exists() and target.stat().st_size == source.stat().st_size:
        return 0
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:
        # Another file system: copy, and show it only when whole.
        partial = target.with_name(".data")
        shutil.copyfile(source, partial)
        partial.replace(target)
    return 1


def _point(link: Path, digest: str) -> int:
    if link.exists() and link.read_text() == digest:
        return 0
    replace_file(link, digest.encode(), mode=0o644)
    return 1
