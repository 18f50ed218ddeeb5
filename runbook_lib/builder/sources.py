"""Where buildctl comes from, in the order the settings give: the running pod, PATH, a file, the release.

Each source first makes an `Offer` (reading only), then delivers it. What a source refuses is remembered,
so that the last error lists them all.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from runbook_lib.builder import platforms
from runbook_lib.builder.archive import extract
from runbook_lib.builder.buildctl import QUESTION_SECONDS, client_version, version_in
from runbook_lib.builder.buildctl_release import RELEASES, expected_sha256, release_url
from runbook_lib.builder.fetch import download, sha256_of
from runbook_lib.builder.kubectl import executable
from runbook_lib.builder.pod_copy import copy_out
from runbook_lib.builder.store import Fetched, Store
from runbook_lib.builder.web import refuse_unprotected
from runbook_lib.errors import BinaryError, BuilderError, ChecksumError, SourceError
from runbook_lib.progress import Event, Sink
from runbook_lib.settings import Settings
from runbook_lib.small_files import barred

PodExec = Callable[[list[str], float], tuple[int, bytes, bytes]]
"""Runs a command in the builder's pod: (command, timeout in seconds) -> (exit code, stdout, stderr)."""

IN_POD = "/usr/bin/buildctl"  # in the official images and in those made from them
MEMBER = "bin/buildctl"  # in the release tarball


@dataclass(frozen=True, slots=True)
class Request:
    """What is wanted: version (v1.2.3) and platform; and the pod that may have it.

    `pod_exec` is None in a plan that is made before there is a pod.
    """

    settings: Settings
    store: Store
    version: str
    platform: str
    pod: str
    pod_exec: PodExec | None
    kubectl_exec: str  # how a person begins a command in the pod

    @property
    def target(self) -> Path:
        """Where the fetched binary belongs."""
        return target(self.settings, self.store, self.version)


@dataclass(frozen=True, slots=True)
class Offer:
    """What one source can give: `present` is set when nothing is left to do.

    `deliver(temporary folder, sink)` brings the binary to the store; the caller holds the store's lock.
    """

    source: str
    path: Path
    origin: str
    present: bool
    commands: tuple[str, ...]
    deliver: Callable[[Path, Sink], Fetched] | None = None


def target(settings: Settings, store: Store, version: str) -> Path:
    """Where buildctl of `version` belongs, for the platform that the settings name."""
    platform = settings.client_platform or platforms.this_machine()
    return store.path("buildctl", version, platform, platforms.this_machine())


def offer(request: Request, refused: dict[str, str], skip: int = 0) -> tuple[int, Offer]:
    """The first source, from number `skip` on, that can provide buildctl; its number and its offer.

    Raises:
        SourceError: none can; every refusal is listed.
    """
    makers = {"pod": _of_pod, "path": _of_path, "file": _of_file, "release": _of_release}
    remedy = ""
    for number, source in enumerate(request.settings.buildctl_sources):
        if number < skip:
            continue
        try:
            return number, makers[source](request)
        except BuilderError as e:
            refused[source] = e.what
            remedy = e.remedy if len(refused) == 1 else ""
    listed = "; ".join(f"{source}: {why}" for source, why in refused.items())
    raise SourceError(
        f"no source can provide it ({listed or 'buildctl_sources is empty'})",
        where=f"buildctl {request.version} for {request.platform}",
        remedy=remedy or "mend one of these, or give a release tarball in buildctl_archive",
        notebook="03_fetch_buildctl.ipynb",
    )


def _of_pod(request: Request) -> Offer:
    where = f"pod {request.pod}"
    if request.pod_exec is None:
        in_pod = f'"$({request.kubectl_exec} sha256sum {IN_POD} | cut -c-64)'
        present = request.store.look(request.target) is not None
        return Offer("pod", request.target, where, present, _copy_lines(request, in_pod + '  "'))
    head = _answer(request, ["head", "-c", str(platforms.HEADER), IN_POD])
    found = platforms.of_header(head)
    if found != platforms.base(request.platform):
        raise SourceError(f"the pod's buildctl is for {found or 'no known platform'}", where=where)
    version = version_in(_answer(request, [IN_POD, "--version"]))
    if version != request.version:
        raise SourceError(f"the pod's buildctl is {version or 'of unknown version'}", where=where)
    digest = _answer(request, ["sha256sum", IN_POD]).decode(errors="replace").partition(" ")[0].strip()
    if len(digest) != 64:
        raise SourceError("the pod cannot tell the sha256 of its buildctl", where=where)
    target = request.target
    here = request.store.look(target)
    commands = _copy_lines(request, f"'{digest}  '")

    def deliver(folder: Path, sink: Sink) -> Fetched:
        sink(Event("buildctl", f"copying buildctl out of {where}"))
        body = copy_out(partial(_answer, request), IN_POD, digest, where, sink)
        copied = folder / "buildctl"
        copied.write_bytes(body)
        sink(Event("buildctl", "copied buildctl", len(body), len(body), done=True))
        return _install(request, copied, "pod", "sha256 computed in the pod", where)

    return Offer("pod", target, where, bool(here and here.sha256 == digest), commands, deliver)


def _copy_lines(request: Request, expected: str) -> tuple[str, ...]:
    """The copy by hand; `expected` is shell text: the sha256 and two spaces, as sha256sum reads it."""
    place = shlex.quote(str(request.target))
    return (
        f"mkdir -p {shlex.quote(str(request.target.parent))}",
        f"{request.kubectl_exec} cat {IN_POD} > {place}",
        f"echo {expected}{place} | sha256sum --check && chmod +x {place}",
    )


def _of_path(request: Request) -> Offer:
    found = shutil.which("buildctl")
    if not found:
        raise SourceError("there is no buildctl on PATH")
    version = client_version(Path(found))
    if version.split(".")[:2] != request.version.split(".")[:2]:
        raise SourceError(f"{found} is {version}, not {request.version}")
    return Offer("path", Path(found).absolute(), found, True, ())


def _of_file(request: Request) -> Offer:
    given = request.settings.buildctl_archive
    if not given:
        raise SourceError("the parameter buildctl_archive is empty")
    archive = Path(given).expanduser().absolute()
    if why := barred(archive):
        raise SourceError(f"{archive} cannot be read: {why}", remedy="make it readable for this user")
    if not archive.is_file():
        raise SourceError(f"there is no file {archive}")
    digest, expected = sha256_of(archive), request.settings.buildctl_sha256
    if expected and digest != expected:
        raise ChecksumError(f"the sha256 of {archive} is {digest}, expected {expected}", where=str(archive))
    here = request.store.look(request.target)
    origin = f"sha256:{digest}"
    present = here is not None and here.origin == origin
    checked = "buildctl_sha256" if expected else "nothing: give buildctl_sha256 to have it checked"

    def deliver(folder: Path, sink: Sink) -> Fetched:
        sink(Event("buildctl", f"unpacking {archive.name}"))
        extract(archive, MEMBER, folder / "buildctl")
        return _install(request, folder / "buildctl", "file", checked, origin)

    return Offer("file", request.target, str(archive), present, _by_hand(str(archive), request), deliver)


def _of_release(request: Request) -> Offer:
    url = release_url(request.settings.buildctl_url or RELEASES, request.version, request.platform)
    here = request.store.look(request.target)
    present = here is not None and here.source in ("release", "pod", "file")
    name = url.rpartition("/")[2]
    given = request.settings.buildctl_sha256
    if not (given or present):
        refuse_unprotected(url)
    commands = (f"curl -fLO {url}", *_by_hand(name, request))

    def deliver(folder: Path, sink: Sink) -> Fetched:
        expected, checked = expected_sha256(given, url)
        archive = request.store.downloads() / name
        got = download(url, archive, sha256=expected, checked=checked, sink=sink)
        try:
            extract(archive, MEMBER, folder / "buildctl")
        finally:
            archive.unlink(missing_ok=True)
        return _install(request, folder / "buildctl", "release", got.checked, url)

    return Offer("release", request.target, url, present, commands, deliver)


def _install(request: Request, binary: Path, source: str, checked: str, origin: str) -> Fetched:
    with binary.open("rb") as f:
        found = platforms.of_header(f.read(platforms.HEADER))
    if found != platforms.base(request.platform):
        raise BinaryError(f"the binary is for {found or 'no known platform'}", where=str(binary))
    if found == platforms.this_machine():
        binary.chmod(0o755)
        version = client_version(binary)
        if version != request.version:
            raise BinaryError(f"the binary is {version}, not {request.version}", where=origin)
    target = request.target
    record = Fetched(
        str(target), request.version, request.platform, sha256_of(binary), source, checked, origin
    )
    return request.store.put(binary, record)


def _answer(request: Request, command: list[str], timeout: float = QUESTION_SECONDS) -> bytes:
    if request.pod_exec is None:
        raise SourceError("there is no pod yet", where=f"pod {request.pod}")
    code, out, err = request.pod_exec(command, timeout)
    if code != 0:
        said = err[:200].decode(errors="replace").strip()
        raise SourceError(
            f"`{command[0]}` ended with exit code {code} in the pod: {said}",
            where=f"pod {request.pod}",
        )
    return out


def _by_hand(archive: str, request: Request) -> tuple[str, ...]:
    folder, expected = shlex.quote(str(request.target.parent)), request.settings.buildctl_sha256
    unpack = f"tar -xzf {shlex.quote(archive)} -C {folder} --strip-components=1 {MEMBER}"
    if expected:
        unpack = f"echo {expected}'  '{shlex.quote(archive)} | sha256sum --check && {unpack}"
    return f"mkdir -p {folder}", unpack


def given(settings: Settings) -> Path | None:
    """The buildctl that the settings name, to be used as it is; None when a source has to provide it.

    Raises:
        BinaryError: the parameter names no executable file.
    """
    return executable(settings.buildctl, "buildctl") if settings.buildctl else None
