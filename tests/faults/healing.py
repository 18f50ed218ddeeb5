"""Between two cases: faults away, sandbox mended, and what stands before the step in place."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from typing import Any

from evidence import builder_answers
from fault import STEPS
from processes import resume
from world import World

from sandbox.double.errors import AdminError
from sandbox.errors import SandboxError

_LIMIT = 90.0
_ATTEMPTS = 3
_SEEN = 10.0
_ALL = ("apiserver", "etcd", "containerd", "kubelet", "registry", "distribution", "buildkitd")


def heal(world: World, upto: str, **overrides: Any) -> list[str]:  # noqa: ANN401
    """Take every fault away, mend the sandbox, and bring what stands before step `upto` into being.

    Only what is amiss is done again. Returns what a step that was done again said where it did not succeed at
    once. Raises RuntimeError where three tries do not help.
    """
    failed: list[str] = []
    resume(world.daemons(*_ALL))
    with contextlib.suppress(AdminError), world.admin as admin:
        admin.reset()  # first of all: what waits for the registry would wait for ever
    shaken = not world.is_well()
    if shaken:
        _up(world)
        _wait_for_builder(world)
        with world.admin as admin:
            admin.reset()
    registry = world.registry(overrides)
    for step in STEPS[: STEPS.index(upto)]:
        if step == "configure_auth" and upto == "fetch_buildctl":
            continue
        is_there = not shaken and builder_answers(world) if step == "install_pod" else None
        if not (world.stands(step, registry) if is_there is None else is_there):
            failed += _redo(world, step, overrides)
            if step == "install_pod":
                _wait_for_builder(world)
    return failed


def _wait_for_builder(world: World) -> None:
    """Until the kubelet has seen what runs; bounded, and no proof.

    One that has just started says of Pods that run that they do not exist, and it notices a second later that
    a container was begun anew.
    """
    deadline = time.monotonic() + _SEEN
    while time.monotonic() < deadline and world.has_builder() and not builder_answers(world):
        time.sleep(0.5)


def _up(world: World) -> None:
    """A daemon may have begun to end when it is looked for: then the second try starts it."""
    try:
        world.up()
    except SandboxError:
        world.up()


def _redo(world: World, step: str, overrides: dict[str, Any]) -> list[str]:
    said: list[str] = []
    for _ in range(_ATTEMPTS):
        running = world.start_before(step, **overrides)
        try:
            if running.wait(_LIMIT) == 0:
                return said
            text = world.output(0).read_text().strip()
        except subprocess.TimeoutExpired:
            running.kill()
            text = f"hung for {_LIMIT:.0f} s"
        said.append(f"{step}: {text[-300:]}")
        world.undo(step)
        if not world.is_well():
            _up(world)
    raise RuntimeError(f"{step} cannot be mended: {json.dumps(said)}")
