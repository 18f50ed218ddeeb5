"""One piece of work at a time, in a thread, with a heartbeat for the display and a way to cancel."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from runbook_lib.errors import RunbookError

_BEAT = 0.2  # seconds between two refreshes while something is at work


class Worker:
    """Runs what buttons start. A press while something is at work is refused, so nothing is done twice."""

    def __init__(self, beat: Callable[[], None], failed: Callable[[RunbookError], None]) -> None:
        self._beat, self._failed = beat, failed
        self._lock = threading.Lock()
        self._cancel: Callable[[], None] | None = None
        self.cancelling = False

    @property
    def busy(self) -> bool:
        """Whether something is at work."""
        return self._lock.locked()

    def start(self, work: Callable[[], object]) -> bool:
        """Begin `work` in a thread; False where something is at work already."""
        if not self._lock.acquire(blocking=False):
            return False
        self.cancelling, self._cancel = False, None
        threading.Thread(target=self._run, args=(work,), daemon=True, name="runbook-page").start()
        threading.Thread(target=self._pulse, daemon=True, name="runbook-page-pulse").start()
        return True

    def on_cancel(self, cancel: Callable[[], None] | None) -> None:
        """What `cancel` shall do from now on; a wish that came before is granted at once."""
        self._cancel = cancel
        if self.cancelling and cancel is not None:
            cancel()

    def cancel(self) -> None:
        """Ask the work to end; it does at its next event."""
        if self.busy and not self.cancelling:
            self.cancelling = True
            if self._cancel is not None:
                self._cancel()

    def _run(self, work: Callable[[], object]) -> None:
        try:
            work()
        except RunbookError as e:
            self._failed(e)
        except Exception as e:  # noqa: BLE001 - a thread has no caller: the page is where it must show
            self._failed(_unforeseen(e))
        finally:
            self._lock.release()
            self._beat()

    def _pulse(self) -> None:
        while self.busy:
            self._beat()
            time.sleep(_BEAT)


def _unforeseen(error: Exception) -> RunbookError:
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    place = f"{last.tb_frame.f_code.co_filename}:{last.tb_lineno}" if last else ""
    return RunbookError(
        f"{type(error).__name__}: {error}", where=place, remedy="this is a defect of the runbook: report it"
    )
