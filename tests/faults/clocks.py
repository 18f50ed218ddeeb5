"""Another clock for our own process, by libfaketime. Programs in Go, such as kubectl, keep the true one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from fault import STEPS, Fault, Scene
from world import World


def _library() -> Path:
    """Raises RuntimeError where it is not installed: ld.so would go on without it, on the true clock."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        raise RuntimeError("libfaketime is not installed")
    return found[0]


def _clock(shift: str) -> Callable[[World, int], AbstractContextManager[Scene]]:
    @contextmanager
    def scene(_world: World, _case: int) -> Iterator[Scene]:
        # The monotonic clock does not follow the date on any machine.
        values = {"LD_PRELOAD": str(_library()), "FAKETIME": shift, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        yield Scene(preload=values)

    return scene


def _in_force(_world: World, _case: int, scene: Scene) -> bool:
    try:
        return "libfaketime" in Path(f"/proc/{scene.runner}/maps").read_text()
    except OSError:
        return False


CLOCKS = tuple(
    Fault(f"a clock {shift} off", _in_force, STEPS, ("check",), _clock(shift))
    for shift in ("+10m", "-10m", "+30d", "-30d")
)
