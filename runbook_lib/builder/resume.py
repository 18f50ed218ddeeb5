"""A build that outlives a broken connection: begun again once, if the same builder is there again."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    stop_after_delay,
    stop_any,
    stop_when_event_set,
    wait_fixed,
)
from tenacity.nap import sleep_using_event

from runbook_lib.builder.build import build
from runbook_lib.builder.build_clock import cancelled
from runbook_lib.builder.build_request import BuildRequest, BuildResult
from runbook_lib.builder.buildctl import Builder
from runbook_lib.errors import BuilderError, ConnectionLostError
from runbook_lib.progress import Event, Sink

BACK = 15.0  # seconds in which the builder must answer again: a container that died is begun anew in two
_ASK, _PAUSE = 5.0, 0.5


def build_or_resume(
    builder: Builder,
    request: BuildRequest,
    *,
    sink: Sink,
    build_timeout: float,
    stall_timeout: float,
    cancel: threading.Event,
) -> BuildResult:
    """`build`, and once more where only the connection was lost. Both share `build_timeout`.

    A build that failed by itself is never repeated. What had ended before the loss is in the builder's cache.

    Raises:
        BuilderError: as `build`; ConnectionLostError when it was lost twice or the builder stays away.
        StepCancelledError: `cancel` was set.
    """
    begun = time.monotonic()
    limits = {"build_timeout": build_timeout, "stall_timeout": stall_timeout}
    try:
        return build(builder, request, sink=sink, cancel=cancel, **limits)
    except ConnectionLostError as lost:
        sink(Event("connection", f"the connection was lost; waiting up to {BACK:g} s for the builder"))
        _await(builder, lost, cancel)
    sink(Event("connection", "the builder answers again: building again, finished steps are in its cache"))
    limits["build_timeout"] = max(0.0, build_timeout - (time.monotonic() - begun))
    return replace(build(builder, request, sink=sink, cancel=cancel, **limits), resumed=True)


def _await(builder: Builder, lost: ConnectionLostError, cancel: threading.Event) -> None:
    """Ask until the builder answers; a wish to cancel ends the wait."""
    asking = Retrying(
        stop=stop_any(stop_after_delay(BACK), stop_when_event_set(cancel)),
        wait=wait_fixed(_PAUSE),
        retry=retry_if_exception_type(BuilderError),
        sleep=sleep_using_event(cancel),
    )
    try:
        asking(builder.workers, timeout=_ASK)
    except RetryError as e:
        if cancel.is_set():
            raise cancelled(lost.where) from e
        raise lost from e
