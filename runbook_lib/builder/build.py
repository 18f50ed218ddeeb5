"""One build and push through buildctl: live progress, a deadline, a stall detector, a clean end."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbook_lib import names
from runbook_lib.builder.buildctl import Builder
from runbook_lib.builder.cache_guard import joined
from runbook_lib.builder.failures import explained
from runbook_lib.builder.process import Family, lines, start
from runbook_lib.builder.progress_json import Progress
from runbook_lib.errors import BuilderError, BuildTimeoutError, PushNotProvenError, StepCancelledError
from runbook_lib.progress import Sink
from runbook_lib.scratch import scratch_folder

_FROM = re.compile(r"\[.*\d/\d+\] FROM ")
_TICK = 0.5  # seconds between looks at the clock


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build and where to push it; `references` are host/repository:tag, all of one image.

    `registry_ca` is the CA file with which buildctl itself fetches tokens from `host`.
    """

    context: Path
    dockerfile: Path
    references: tuple[str, ...]
    host: str
    registry_ca: str = ""
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
        if self.registry_ca:
            tls = joined({"host": self.host, "ca": self.registry_ca})
            args += ["--registry-auth-tlscontext", tls]
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


def build(
    builder: Builder,
    request: BuildRequest,
    *,
    sink: Sink,
    build_timeout: float,
    stall_timeout: float,
    cancel: threading.Event | None = None,
) -> BuildResult:
    """Build and push. Setting `cancel` from another thread ends the build, and so does an interrupt.

    A stream that has died without a word (half open, a black hole) looks like an instruction that is silent:
    it ends after `stall_timeout`, as a stall, and tells whether the builder answers on a new connection. A
    stall is no ConnectionLostError and not retried: the instruction may be what hangs, and would hang again.

    Raises:
        BuildFailedError: the build failed; the vertex and its last lines are named. ConnectionLostError:
            it did not fail by itself, the connection to the builder broke.
        StepCancelledError: `cancel` was set.
        BuildTimeoutError: not done in `build_timeout` seconds, or silent for `stall_timeout` seconds.
        PushNotProvenError: exit code 0, but no digest in the metadata.
        BuilderError: no temporary folder can be made.
    """
    with contextlib.ExitStack() as stack:
        folder = _scratch(stack)
        metadata = folder / "metadata.json"
        words = [*request.arguments(), "--metadata-file", str(metadata), "--progress=rawjson"]
        begun = time.monotonic()
        progress = Progress()
        process = start(builder.argv(*words), builder.environment(), stdout=subprocess.DEVNULL)
        family = Family(process)
        clock = _Clock(builder, build_timeout, stall_timeout, cancel)
        try:
            code = _watched(process, family, progress, sink, clock)
        finally:
            family.end()
        if code != 0:
            raise explained(progress, code)
        found = _metadata(metadata)
        seconds = round(time.monotonic() - begun, 3)
        return BuildResult(_digest(found, request), found, progress.records(), seconds)


def _scratch(stack: contextlib.ExitStack) -> Path:
    try:
        return stack.enter_context(scratch_folder())
    except OSError as e:
        raise BuilderError(
            f"no temporary folder can be made: {e.strerror or e}",
            where=str(e.filename or "TMPDIR"),
            remedy="make room there, or set TMPDIR to a folder that this user can write to",
        ) from e


def cancelled(where: str) -> StepCancelledError:
    """The error of a build that the reader ended; `where` it was."""
    remedy = "build again: finished steps are in the cache"
    return StepCancelledError("the build was cancelled", where=where, remedy=remedy)


class _Clock:
    """The two limits of a build and the wish to cancel it, checked at every tick."""

    def __init__(
        self, builder: Builder, build_timeout: float, stall_timeout: float, cancel: threading.Event | None
    ) -> None:
        self._builder = builder
        self._limits = (build_timeout, stall_timeout)
        self._cancel = cancel
        self._begun = self._heard = time.monotonic()

    def heard(self) -> None:
        """Something came: the stall clock begins anew."""
        self._heard = time.monotonic()

    def check(self, progress: Progress) -> None:
        """Raise when the build must end now."""
        now = time.monotonic()
        where = next(
            (v.name for v in progress.vertices.values() if v.started and not v.completed), "buildctl"
        )
        if self._cancel is not None and self._cancel.is_set():
            raise cancelled(where)
        build_timeout, stall_timeout = self._limits
        if now - self._begun > build_timeout:
            raise BuildTimeoutError(
                f"not done after {build_timeout:g} s", where=where, remedy="raise build_timeout"
            )
        if now - self._heard > stall_timeout:
            raise self._stalled(where, stall_timeout)

    def _stalled(self, where: str, limit: float) -> BuildTimeoutError:
        try:
            self._builder.workers(timeout=10.0)
        except BuilderError as e:
            return BuildTimeoutError(
                f"no progress for {limit:g} s, and the builder is gone: {e.what}",
                where=where,
                remedy="mend the builder, then build again",
                notebook="01_install_pod.ipynb",
            )
        return BuildTimeoutError(
            f"no progress for {limit:g} s, though the builder still answers",
            where=where,
            remedy="raise stall_timeout if this instruction is quiet for long; else check the network",
        )


def _watched(
    process: subprocess.Popen[bytes], family: Family, progress: Progress, sink: Sink, clock: _Clock
) -> int:
    """Read what buildctl tells until it has ended; its exit code. The clock is looked at all the while."""
    if process.stderr is None:
        raise BuilderError("buildctl was started without its error stream", where="buildctl")
    with process.stderr as stream:
        for line in lines(process, stream):
            if line:
                clock.heard()
            clock.check(progress)
            family.note()
            for event in progress.feed(line):
                sink(event)
    while process.poll() is None:  # it has closed its stream, but goes on
        clock.check(progress)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_TICK)
    return process.returncode


def _metadata(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        found = None
    return found if isinstance(found, dict) else {}


def _digest(metadata: dict[str, Any], request: BuildRequest) -> str:
    try:
        return names.digest(str(metadata.get("containerimage.digest", "")))
    except ValueError as e:
        raise PushNotProvenError(
            "buildctl ended with exit code 0 but wrote no image digest",
            where=request.references[0],
            remedy="build again; if it stays so, fetch buildctl in the daemon's own version",
            notebook="03_fetch_buildctl.ipynb",
        ) from e
