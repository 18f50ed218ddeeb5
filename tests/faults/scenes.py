"""The faults that need a scene of their own: proxies, full disks, other clocks, a registry that changes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil
import yaml
from fault import MIDDLES, PHASES, STEPS, Fault, Scene
from proxy import Ill, Proxy
from world import World

from sandbox.cluster.processes import find_daemons
from sandbox.errors import SandboxError

_FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"  # Debian: libfaketime
_DISK = "4m"
Strike = Callable[[World, int, Scene], bool]


# -- proxies ------------------------------------------------------------------------------------
def _to_apiserver(world: World, _case: int) -> AbstractContextManager[Scene]:
    @contextmanager
    def scene() -> Iterator[Scene]:
        config = yaml.safe_load(Path(world.env["KUBECONFIG"]).read_text())
        cluster = config["clusters"][0]["cluster"]
        port = int(cluster["server"].rpartition(":")[2])
        with Proxy(("127.0.0.1", 0), ("127.0.0.1", port)) as proxy:
            cluster["server"] = f"https://127.0.0.1:{proxy.port}"
            path = world.folder / "proxied.kubeconfig"
            path.write_text(yaml.safe_dump(config))
            path.chmod(0o600)
            yield Scene({"kubeconfig": str(path)}, tool=proxy)

    return scene()


def _to_registry(world: World, _case: int) -> AbstractContextManager[Scene]:
    """Between the builder and the registry, and between us and the registry: the name is the proxy's."""

    @contextmanager
    def scene() -> Iterator[Scene]:
        host, _, port = world.env["REGISTRY"].rpartition(":")
        listen = world.proxied_registry.rpartition(":")
        with Proxy((listen[0], int(listen[2])), (host, int(port))) as proxy:
            yield Scene({"registry": world.proxied_registry}, tool=proxy)

    return scene()


def _struck(ill: Ill) -> Strike:
    def strike(_world: World, _case: int, scene: Scene) -> bool:
        scene.tool.strike(Ill(**vars(ill)))
        return True

    return strike


# Those a step should bear are tried in apply alone.
_SLIGHT = {
    "nothing (0 ms)": Ill(),
    "50 ms of delay": Ill(delay=0.05),
    "200 ms of delay": Ill(delay=0.2),
    "1 % loss": Ill(loss=0.01),
}
_GRAVE = {
    "a black hole": Ill(black_hole=True),
    "half-open connections": Ill(half_open=True),
    "a cut after 700 bytes": Ill(cut_after=700),
}


def _proxied() -> Iterator[Fault]:
    for name, ill in (_SLIGHT | _GRAVE).items():
        phases = ("apply",) if name in _SLIGHT else (*PHASES, *MIDDLES)
        strike = _struck(ill)
        yield Fault(f"to the API server: {name}", strike, STEPS[:1] + STEPS[2:], phases, _to_apiserver)
        yield Fault(f"to the registry: {name}", strike, ("configure_auth", "test_push"), phases, _to_registry)


# -- the node ---------------------------------------------------------------------------------------
def _power_cut(world: World, _case: int, scene: Scene) -> bool:
    """All processes of the node at once, those in containers too; then they come up while the step works."""
    daemons = [d.process for d in find_daemons(world.layout.root)]
    doomed = {p for d in daemons for p in (d, *_below(d))}
    for process in doomed:
        with contextlib.suppress(psutil.Error):
            process.kill()
    scene.tool.start()
    return True


def _below(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


@contextmanager
def _with_boot(world: World, _case: int) -> Iterator[Scene]:
    def boot() -> None:
        with contextlib.suppress(SandboxError):  # what is amiss is mended after the case
            world.up()

    thread = threading.Thread(target=boot)
    yield Scene(tool=thread)
    if thread.ident is not None:
        thread.join(120)


# -- disks --------------------------------------------------------------------------------------------
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


# -- clocks -------------------------------------------------------------------------------------------
def _clock(shift: str) -> Callable[[World, int], AbstractContextManager[Scene]]:
    @contextmanager
    def scene(_world: World, _case: int) -> Iterator[Scene]:
        variables = {"LD_PRELOAD": _FAKETIME, "FAKETIME": shift}
        yield Scene(preload=variables)

    return scene


# -- what the registry keeps -----------------------------------------------------------------------------
@contextmanager
def _kept(world: World, _case: int) -> Iterator[Scene]:
    """Put the registry's files back as they were."""
    saved: dict[Path, bytes] = {}
    yield Scene(tool=saved)
    for path, content in saved.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _behind(change: Callable[[World, int, dict[Path, bytes]], None]) -> Strike:
    """Change the registry's files while the step is stopped, so that verification sees the change alone."""

    def strike(world: World, case: int, scene: Scene) -> bool:
        os.kill(scene.runner, signal.SIGSTOP)
        try:
            change(world, case, scene.tool)
        finally:
            os.kill(scene.runner, signal.SIGCONT)
        return True

    return strike


def _link(world: World, case: int) -> Path:
    return world.storage.tag_link(f"n{case}")


def _save(path: Path, saved: dict[Path, bytes]) -> bytes:
    saved[path] = path.read_bytes()
    return saved[path]


def _move_tag(world: World, case: int, saved: dict[Path, bytes]) -> None:
    link = _link(world, case)
    mine = _save(link, saved)
    other = b'{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}'
    digest = f"sha256:{hashlib.sha256(other).hexdigest()}"
    assert digest.encode() != mine
    world.storage.blob(digest).parent.mkdir(parents=True, exist_ok=True)
    world.storage.blob(digest).write_bytes(other)
    link.write_text(digest)


def _drop_tag(world: World, case: int, saved: dict[Path, bytes]) -> None:
    _save(_link(world, case), saved)
    _link(world, case).unlink()


def _corrupt_manifest(world: World, case: int, saved: dict[Path, bytes]) -> None:
    path = world.storage.blob(_link(world, case).read_text().strip())
    path.write_bytes(_save(path, saved).replace(b"sha256:", b"sha255:", 1))


def _layer(world: World, case: int) -> Path:
    manifest = yaml.safe_load(world.storage.blob(_link(world, case).read_text().strip()).read_bytes())
    return world.storage.blob(str(manifest["layers"][-1]["digest"]))


def _drop_layer(world: World, case: int, saved: dict[Path, bytes]) -> None:
    path = _layer(world, case)
    _save(path, saved)
    path.unlink()


def _truncate_layer(world: World, case: int, saved: dict[Path, bytes]) -> None:
    path = _layer(world, case)
    path.write_bytes(_save(path, saved)[:-1])


def _alter_layer(world: World, case: int, saved: dict[Path, bytes]) -> None:
    path = _layer(world, case)
    content = _save(path, saved)
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])


_BEHIND = {
    "the tag is moved behind our back": _move_tag,
    "the tag is dropped behind our back": _drop_tag,
    "the manifest is altered behind our back": _corrupt_manifest,
    "a layer is dropped behind our back": _drop_layer,
    "a layer is cut short behind our back": _truncate_layer,
    "a layer is altered behind our back": _alter_layer,
}


def _now(_world: World, _case: int, _scene: Scene) -> bool:
    return True


SCENES: tuple[Fault, ...] = (
    *_proxied(),
    Fault("the node reboots", _power_cut, STEPS, ("apply", "verify", "RUN", "push"), _with_boot),
    Fault("disk full: runs folder", _fill, STEPS, PHASES, _full("runs", lambda w, n: w.run_dir(n))),
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
    *(
        Fault(f"our clock is {s} off", _now, STEPS, ("check",), _clock(s))
        for s in ("+10m", "-10m", "+30d", "-30d")
    ),
    *(
        Fault(name, _behind(change), ("test_push",), ("verify",), _kept, must_fail=True)
        for name, change in _BEHIND.items()
    ),
)
