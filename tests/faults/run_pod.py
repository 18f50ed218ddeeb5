"""Struck while the pushed image runs as a Pod: neither the Pod nor its pull secret may stay."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from fault import Fault, Scene
from world import World

_NAME = "buildkitd-run"


@contextmanager
def _with_run(_world: World, _case: int) -> Iterator[Scene]:
    yield Scene({"run_image": True}, {"run_image": True})


def _there(world: World) -> bool:
    return world.kubectl("-n", world.namespace, "get", "pod", _NAME, check=False).returncode == 0


def _nothing(world: World, _case: int, _scene: Scene) -> bool:
    return _there(world)


def _kill_us(world: World, _case: int, scene: Scene) -> bool:
    if not _there(world):
        return False
    psutil.Process(scene.runner).kill()
    return True


def _delete(world: World, _case: int, _scene: Scene) -> bool:
    words = ("delete", "pod", _NAME, "--grace-period=0", "--force", "--wait=false")
    return world.kubectl("-n", world.namespace, *words, check=False).returncode == 0


def _to_component(component: str, number: signal.Signals) -> Fault:
    def strike(world: World, _case: int, _scene: Scene) -> bool:
        if not _there(world):
            return False
        for process in world.daemons(component):
            process.send_signal(number)
        return True

    name = f"while the image runs: {number.name} {component}"
    return Fault(name, strike, ("test_push",), ("verify",), _with_run)


RUN_POD = (
    Fault("while the image runs: nothing", _nothing, ("test_push",), ("verify",), _with_run, must_pass=True),
    Fault(
        "while the image runs: SIGKILL the runbook itself", _kill_us, ("test_push",), ("verify",), _with_run
    ),
    Fault("while the image runs: its pod deleted", _delete, ("test_push",), ("verify",), _with_run),
    _to_component("apiserver", signal.SIGKILL),
    _to_component("apiserver", signal.SIGSTOP),
    _to_component("containerd", signal.SIGSTOP),
    _to_component("registry", signal.SIGKILL),
)
