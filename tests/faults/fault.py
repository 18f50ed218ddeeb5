"""What a fault is, and the scene it is struck in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from world import World

STEPS = ("install_pod", "configure_auth", "fetch_buildctl", "test_push")
PHASES = ("check", "apply", "verify")
MIDDLES = ("RUN", "push")  # of what test_push applies


@dataclass
class Scene:
    """What a case needs around it: parameters for the struck run and for the rerun, variables at its exec.

    `runner` is the pid of the step; `tool` what the scene's own fault strikes with. `headless`: the step runs
    as a notebook, by `python -m runbook_lib run`, and is run again by `--resume`.
    """

    overrides: dict[str, Any] = field(default_factory=dict)
    overrides_after: dict[str, Any] = field(default_factory=dict)
    preload: dict[str, str] | None = None
    tool: Any = None
    runner: int = 0
    headless: bool = False


def always(_world: World, _scene: Scene) -> bool:
    """A signal that was sent has struck."""
    return True


@contextmanager
def _plain(_world: World, _case: int) -> Iterator[Scene]:
    yield Scene()


@dataclass(frozen=True)
class Fault:
    """`strike(world, case number, scene)` returns True once it is in force.

    `hit(world, scene)`, asked when the step has ended: whether it met anything. A fault of the registry, for
    one, is in force at once and strikes only a request that comes.

    `steps` are those it can matter to; of `phases`, those in the middle of a build are test_push's.
    `scene(world, case number)` sets the scene, and takes it away with all that was struck there.
    `undetectable`: seconds for which nobody can tell the fault from a slow world. `must_fail`: a step that
    calls itself proven has not looked. `must_pass`: nothing that a step may fail for. `takes_builder`: the
    builder's Pod may be gone after a step that was right to call itself proven.
    """

    name: str
    strike: Callable[[World, int, Scene], bool]
    steps: tuple[str, ...] = STEPS
    phases: tuple[str, ...] = field(default=PHASES)
    scene: Callable[[World, int], AbstractContextManager[Scene]] = _plain
    undetectable: float = 0.0
    must_fail: bool = False
    must_pass: bool = False
    takes_builder: bool = False
    hit: Callable[[World, Scene], bool] = always

    def phases_of(self, step: str) -> tuple[str, ...]:
        """The phases in which it is struck at `step`."""
        return tuple(p for p in self.phases if step == "test_push" or p not in MIDDLES)
