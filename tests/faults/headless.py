"""A headless run's own processes struck: the kernel, and papermill with the program around it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from fault import PHASES, STEPS, Fault, Scene
from world import World

_PAUSE = 5.0  # seconds for which the run itself is stopped


@contextmanager
def _headless(_world: World, _case: int) -> Iterator[Scene]:
    yield Scene(headless=True)


def _to_kernel(number: signal.Signals) -> Fault:
    def strike(world: World, case: int, scene: Scene) -> bool:
        found = [p for p in world.marked(case) if p.pid != scene.runner and _is_kernel(p)]
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)
        return bool(found)

    return Fault(f"{number.name} the notebook's kernel", strike, STEPS, PHASES, _headless)


def _is_kernel(process: psutil.Process) -> bool:
    try:
        return "ipykernel_launcher" in process.cmdline()
    except psutil.Error:
        return False


def _kill_papermill(_world: World, _case: int, scene: Scene) -> bool:
    psutil.Process(scene.runner).kill()
    return True


def _stop_papermill(_world: World, _case: int, scene: Scene) -> bool:
    """Who is stopped can tell nobody; so it goes on after a while, and has to end well."""
    process = psutil.Process(scene.runner)
    process.suspend()
    timer = threading.Timer(_PAUSE, process.resume)
    timer.daemon = True
    timer.start()
    return True


HEADLESS = (
    _to_kernel(signal.SIGKILL),
    _to_kernel(signal.SIGSTOP),
    Fault("SIGKILL papermill", _kill_papermill, STEPS, PHASES, _headless),
    Fault(f"SIGSTOP papermill for {_PAUSE:.0f} s", _stop_papermill, STEPS, PHASES, _headless),
)
