"""When a build must end before it has: out of time, silent for too long, or unwanted."""

from __future__ import annotations

import threading
import time

from runbook_lib.builder.buildctl import Builder
from runbook_lib.builder.progress_json import Progress
from runbook_lib.errors import BuilderError, BuildTimeoutError, StepCancelledError


def cancelled(where: str) -> StepCancelledError:
    """The error of a build that the reader ended; `where` it was."""
    remedy = "build again: finished steps are in the cache"
    return StepCancelledError("the build was cancelled", where=where, remedy=remedy)


class Clock:
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
