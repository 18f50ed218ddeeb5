"""The faults that need a scene of their own: proxies, a node that reboots, a registry that changes."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import signal
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import yaml
from fault import MIDDLES, PHASES, STEPS, Fault, Scene
from proxy import Ill, Proxy
from world import World

from sandbox.cluster.processes import find_daemons
from sandbox.errors import SandboxError

Strike = Callable[[World, int, Scene], bool]


# -- proxies ------------------------------------------------------------------------------------
@contextmanager
def _to_apiserver(world: World, _case: int, *, in_clear: bool = False) -> Iterator[Scene]:
    config = yaml.safe_load(Path(world.env["KUBECONFIG"]).read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    port = int(cluster["server"].rpartition(":")[2])
    context = _tls_of(world, cluster, user) if in_clear else None
    with Proxy(("127.0.0.1", 0), ("127.0.0.1", port), tls=context) as proxy:
        cluster["server"] = f"http{'' if in_clear else 's'}://127.0.0.1:{proxy.port}"
        path = world.folder / "proxied.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        path.chmod(0o600)
        yield Scene({"kubeconfig": str(path)}, tool=proxy)


def _tls_of(world: World, cluster: dict[str, str], user: dict[str, str]) -> ssl.SSLContext:
    """The client's side of TLS, taken out of a kubeconfig: the proxy now says who asks."""
    authority = base64.b64decode(cluster.pop("certificate-authority-data")).decode()
    context = ssl.create_default_context(cadata=authority)
    pair = world.folder / "proxy.pem"
    pair.touch(0o600)
    pair.write_bytes(
        b"".join(base64.b64decode(user.pop(f"client-{part}-data")) for part in ("certificate", "key"))
    )
    context.load_cert_chain(pair)
    return context


@contextmanager
def _in_clear(world: World, case: int) -> Iterator[Scene]:
    with _to_apiserver(world, case, in_clear=True) as scene:
        yield scene


@contextmanager
def _to_registry(world: World, _case: int) -> Iterator[Scene]:
    """Between the builder and the registry, and between us and the registry: the name is the proxy's."""
    host, _, port = world.env["REGISTRY"].rpartition(":")
    listen = world.proxied_registry.rpartition(":")
    with Proxy((listen[0], int(listen[2])), (host, int(port))) as proxy:
        yield Scene({"registry": world.proxied_registry}, tool=proxy)


def _struck(ill: Ill) -> Strike:
    def strike(_world: World, _case: int, scene: Scene) -> bool:
        return bool(scene.tool.strike(Ill(**vars(ill))))

    return strike


def _met(_world: World, scene: Scene) -> bool:
    return bool(scene.tool.struck)


_IN_APPLY = {
    "nothing (0 ms)": Ill(),
    "50 ms of delay": Ill(delay=0.05),
    "200 ms of delay": Ill(delay=0.2),
    "1 % loss": Ill(loss=0.01),
    "a cut after 1 byte": Ill(cut_after=1),
    "a cut after 20000 bytes": Ill(cut_after=20_000),
}
_BEARABLE = ("nothing (0 ms)", "50 ms of delay", "200 ms of delay")
_IN_ALL = {
    "a black hole": Ill(black_hole=True),
    "connections half-open": Ill(half_open=True),
    "a cut after 700 bytes": Ill(cut_after=700),
}
_ANSWERS = {
    "429 with Retry-After twice": Ill(answers=2, answer=(429, "Too Many Requests", 1)),
    "429 with Retry-After 600 for ever": Ill(answers=10_000, answer=(429, "Too Many Requests", 600)),
    "503 four times": Ill(answers=4, answer=(503, "Service Unavailable", None)),
    "500 for ever": Ill(answers=10_000, answer=(500, "Internal Server Error", None)),
}
_CLUSTER_STEPS = ("install_pod", "fetch_buildctl", "test_push")


def _proxied() -> Iterator[Fault]:
    for name, ill in (_IN_APPLY | _IN_ALL).items():
        phases = ("apply",) if name in _IN_APPLY else (*PHASES, *MIDDLES)
        strike, must_pass = _struck(ill), name in _BEARABLE
        for where, steps, scene in (
            ("the API server", _CLUSTER_STEPS, _to_apiserver),
            ("the registry", ("configure_auth", "test_push"), _to_registry),
        ):
            yield Fault(f"to {where}: {name}", strike, steps, phases, scene, must_pass=must_pass, hit=_met)


def _answered() -> Iterator[Fault]:
    """Answers that no API server of the sandbox gives by itself; the proxy speaks HTTP and gives them."""
    for name, answer in _ANSWERS.items():
        yield Fault(
            f"the API server answers {name}", _struck(answer), _CLUSTER_STEPS, PHASES, _in_clear, hit=_met
        )


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


SCENES: tuple[Fault, ...] = (
    *_proxied(),
    *_answered(),
    Fault("the node reboots", _power_cut, STEPS, ("apply", "verify", "RUN", "push"), _with_boot),
    *(
        Fault(name, _behind(change), ("test_push",), ("verify",), _kept, must_fail=True)
        for name, change in _BEHIND.items()
    ),
)
