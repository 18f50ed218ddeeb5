"""The step contract: check and plan read, apply changes, verify asks the world."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from runbook_lib.errors import RunbookError, StepCancelledError
from runbook_lib.findings import Findings
from runbook_lib.journal import Journal
from runbook_lib.plan import Plan
from runbook_lib.progress import Event, Sink, print_sink
from runbook_lib.settings import Settings

if TYPE_CHECKING:
    from runbook_lib.cluster.binding import Cluster

REPOSITORY_ROOT = Path(__file__).resolve().parents[2]
Result = TypeVar("Result", Findings, Plan)


class Step(ABC):
    """One step over one frozen settings object and one run journal.

    Subclasses write the four `_verbs`; callers use the public ones, which journal what was found
    and how long it took. `sink` receives live events. Setting `cancelled` from another thread ends a
    running verb at its next event or tick; nothing that it has already changed is undone.
    """

    name: ClassVar[str]
    notebook: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, settings: Settings, journal: Journal | None = None, sink: Sink = print_sink) -> None:
        self.cancelled = threading.Event()
        self.settings = settings
        self.journal = journal or Journal(run_dir_of(settings))
        self._sink = sink

    @cached_property
    def cluster(self) -> Cluster:
        """The cluster of these settings, bound on first use.

        Raises:
            ClusterError: see `Cluster.bind`.
        """
        # Imported on first use: it takes a second, and the runner never binds.
        from runbook_lib.cluster.binding import Cluster

        return Cluster.bind(self.settings)

    def check(self) -> Findings:
        """Read only: preconditions, permissions, versions."""
        return self._verb("check", self._check)

    def plan(self) -> Plan:
        """Read only: what `apply` would change, as diffs and as commands."""
        return self._verb("plan", self._plan)

    def apply(self) -> Findings:
        """Change what the plan says; a second apply writes nothing, but for two steps.

        `test_push` builds again, from the builder's cache, and pushes its tags again: only a build tells
        whether builds work. `configure_auth` renews the short-lived token of auth_method oci.
        """
        return self._verb("apply", self._apply)

    def verify(self) -> Findings:
        """Ask the world, not the return code."""
        return self._verb("verify", self._verify)

    def emit(self, event: Event) -> None:
        """Send a live event to the watcher and to the journal (for watchers in other processes).

        Raises:
            StepCancelledError: the reader has cancelled.
        """
        self._sink(event)
        self.journal.write(self.name, "", "event", **event.as_record())
        self._stop_if_cancelled()

    def _stop_if_cancelled(self) -> None:
        if self.cancelled.is_set():
            remedy = "run it again: what was done already is found and kept"
            raise StepCancelledError("it was cancelled", where=self.title, remedy=remedy)

    def _verb(self, phase: str, work: Callable[[], Result]) -> Result:
        begun = time.monotonic()
        self.journal.write(self.name, phase, "started")
        try:
            self._stop_if_cancelled()
            result = work()
        except RunbookError as e:
            self.journal.write(self.name, phase, "error", **_error_record(e), seconds=_since(begun))
            raise
        except BaseException as e:
            # Only the type is kept: the text of a foreign error may hold what must not be written.
            self.journal.write(self.name, phase, "error", type=type(e).__name__, seconds=_since(begun))
            raise
        kind = "plan" if isinstance(result, Plan) else "findings"
        self.journal.write(self.name, phase, kind, items=result.as_records(), seconds=_since(begun))
        return result

    @abstractmethod
    def _check(self) -> Findings: ...

    @abstractmethod
    def _plan(self) -> Plan: ...

    @abstractmethod
    def _apply(self) -> Findings: ...

    @abstractmethod
    def _verify(self) -> Findings: ...


def run_dir_of(settings: Settings) -> Path:
    """The folder of the journal: the parameter `run_dir`, else `runs/interactive` of the repository."""
    given = settings.run_dir
    return Path(given).expanduser().resolve() if given else REPOSITORY_ROOT / "runs" / "interactive"


def _since(begun: float) -> float:
    return round(time.monotonic() - begun, 3)


def _error_record(e: RunbookError) -> dict[str, Any]:
    return {
        "type": type(e).__name__,
        "what": e.what,
        "where": e.where,
        "remedy": e.remedy,
        "notebook": e.notebook,
    }
