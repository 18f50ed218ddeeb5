"""Between two cases: faults away, sandbox mended, and what stands before the step in place."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from typing import Any

from fault import STEPS
from processes import resume
from world import World

from sandbox.double.errors import AdminError
from sandbox.errors import SandboxError

_LIMIT = 90.0
_ATTEMPTS = 3
_KUBELET = 10.0
_ALL = ("apiserver", "etcd", "containerd", "kubelet", "registry", "distribution", "buildkitd")


def heal(world: World, upto: str, **overrides: Any) -> None:  # noqa: ANN401
    """Take every fault away, mend the sandbox, and bring what stands before step `upto` into being.

    Only what is amiss is done again. Raises RuntimeError where that does not help.
    """
    resume(world.daemons(*_ALL))
    with contextlib.suppress(AdminError), world.admin as admin:
        admin.reset()  # first of all: what waits for the registry would wait for ever
    shaken = not world.is_well()
    if shaken:
        _up(world)
        _wait_for_kubelet(world)
        with world.admin as admin:
            admin.reset()
    registry = str(world.parameters(0, **overrides)["registry"])
    for step in STEPS[: STEPS.index(upto)]:
        if step == "configure_auth" and upto == "fetch_buildctl":
            continue
        is_there = not shaken and world.builder_answers() if step == "install_pod" else None
        if not (world.stands(step, registry) if is_there is None else is_there):
            _redo(world, step, overrides)


def _wait_for_kubelet(world: World) -> None:
    """A kubelet that has just started says of Pods that run that they do not exist; bounded, and no proof."""
    deadline = time.monotonic() + _KUBELET
    while time.monotonic() < deadline and world.has_builder() and not world.builder_answers():
        time.sleep(0.5)


def _up(world: World) -> None:
    """A daemon may have begun to end when it is looked for: then the second try starts it."""
    try:
        world.up()
    except SandboxError:
        world.up()


def _redo(world: World, step: str, overrides: dict[str, Any]) -> None:
    said = ""
    for _ in range(_ATTEMPTS):
        running = world.start_before(step, **overrides)
        try:
            if running.wait(_LIMIT) == 0:
                return
        except subprocess.TimeoutExpired:
            running.kill()
        said = world.output(0).read_text()[-1500:]
        world.undo(step)
        if not world.is_well():
            _up(world)
    raise RuntimeError(f"{step} cannot be mended: {json.dumps(said)}")
