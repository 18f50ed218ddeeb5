"""Full disks: small file systems of their own, filled to the last byte while the step works."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from fault import PHASES, STEPS, Fault, Scene
from world import World

_DISK = "4m"
_INGEST = "/var/lib/buildkit/runc-overlayfs/content/ingest"  # where the daemon writes what is new


def _full(
    name: str, what: Callable[[World, int], Path], *, fresh: bool = False
) -> Callable[[World, int], AbstractContextManager[Scene]]:
    """A small file system of its own for a folder (`fresh`: emptied before).

    What was written to it is kept when it is taken away.
    """

    @contextmanager
    def scene(world: World, case: int) -> Iterator[Scene]:
        folder = what(world, case)
        if fresh:  # the step is to make it
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        aside = world.folder / f"aside-{case}-{name}"
        shutil.copytree(folder, aside, symlinks=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK},mode=700", "tmpfs", folder], check=True)
        try:
            shutil.copytree(aside, folder, symlinks=True, dirs_exist_ok=True)
            yield Scene(tool=folder / "filler")
            (folder / "filler").unlink(missing_ok=True)
            shutil.rmtree(aside)
            shutil.copytree(folder, aside, symlinks=True)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)
        shutil.copytree(aside, folder, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(aside)

    return scene


def _fill(_world: World, _case: int, scene: Scene) -> bool:
    with contextlib.suppress(OSError), scene.tool.open("wb", buffering=0) as file:
        for size in (65536, 512, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * size)
    return True


@contextmanager
def _of_the_builder(world: World, _case: int) -> Iterator[Scene]:
    """The folder in which the daemon begins every blob, inside its container."""
    yield Scene()
    for process in world.daemons("buildkitd"):
        _inside(process.pid, "umount", "-l", _INGEST)


def _fill_the_builder(world: World, _case: int, _scene: Scene) -> bool:
    """A file system of one page, with that page taken."""
    for process in world.daemons("buildkitd"):
        done = _inside(process.pid, "mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", _INGEST)
        _inside(process.pid, "dd", "if=/dev/zero", f"of={_INGEST}/filler", "bs=4k", "count=1")
        return done
    return False


def _inside(pid: int, *command: str) -> bool:
    words = ["nsenter", "-t", str(pid), "-m", "--", *command]
    return subprocess.run(words, capture_output=True, timeout=30, check=False).returncode == 0


DISKS = (
    Fault("disk full: runs folder", _fill, STEPS, PHASES, _full("runs", lambda w, n: w.run_dir(n))),
    Fault("disk full: home folder", _fill, STEPS, ("apply",), _full("home", lambda w, _: w.folder / "home")),
    Fault(
        "disk full: docker's config",
        _fill,
        ("configure_auth",),
        ("check", "apply"),
        _full("docker", lambda w, _: w.folder / "docker_config", fresh=True),
    ),
    Fault(
        "disk full: programs folder",
        _fill,
        ("fetch_buildctl",),
        ("check", "apply"),
        _full("bin", lambda w, _: w.folder / "bin_dir", fresh=True),
    ),
    Fault(
        "disk full: temporary files",
        _fill,
        STEPS,
        ("check", "apply"),
        _full("tmp", lambda w, _: w.folder / "tmp"),
    ),
    Fault(
        "disk full: the builder's state", _fill_the_builder, ("test_push",), ("check", "RUN"), _of_the_builder
    ),
)
