"""One build and push through buildctl: live progress, a deadline, a stall detector, a clean end."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from runbook_lib import names
from runbook_lib.builder.build_clock import Clock
from runbook_lib.builder.build_request import BuildRequest, BuildResult
from runbook_lib.builder.buildctl import Builder
from runbook_lib.builder.failures import explained
from runbook_lib.builder.process import Family, lines, start
from runbook_lib.builder.progress_json import Progress
from runbook_lib.errors import BuilderError, PushNotProvenError
from runbook_lib.progress import Sink
from runbook_lib.scratch import scratch_folder

_TICK = 0.5  # seconds between looks at the clock


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
        clock = Clock(builder, build_timeout, stall_timeout, cancel)
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


def _watched(
    process: subprocess.Popen[bytes], family: Family, progress: Progress, sink: Sink, clock: Clock
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
