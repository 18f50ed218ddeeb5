"""The faults: what each does to the world, and to which steps it matters."""

from __future__ import annotations

import contextlib
import json
import signal
from dataclasses import replace
from typing import Any

import psutil
from clocks import CLOCKS
from disks import DISKS
from fault import MIDDLES, PHASES, STEPS, Fault, Scene
from headless import HEADLESS
from run_pod import RUN_POD
from scenes import SCENES
from world import UPLOADS, World

_COMPONENTS = ("apiserver", "etcd", "containerd", "kubelet", "registry", "distribution", "buildkitd")
_PROGRAMS, _PROGRAM_STEPS = ("kubectl", "buildctl"), ("fetch_buildctl", "test_push")
_REGISTRY_STEPS = ("configure_auth", "test_push")


def _signal(processes: list[psutil.Process], number: signal.Signals) -> bool:
    struck = False
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
            struck = True
    return struck


def _to_component(component: str, number: signal.Signals) -> Fault:
    def strike(world: World, _case: int, _scene: Scene) -> bool:
        return _signal(world.daemons(component), number)

    steps = _REGISTRY_STEPS if component in ("registry", "distribution") else STEPS
    if component == "buildkitd":
        steps = ("fetch_buildctl", "test_push")
    return Fault(f"{number.name} {component}", strike, steps, (*PHASES, *MIDDLES))


def _to_program(program: str, number: signal.Signals, step: str) -> Fault:
    """The verification of a push is our own: there both programs have ended."""

    def strike(world: World, case: int, _scene: Scene) -> bool:
        return _signal(world.children(case, program), number)

    phases = PHASES if step == "fetch_buildctl" else ("check", "apply", *MIDDLES)
    return Fault(f"{number.name} {program}", strike, (step,), phases)


def _runner(_world: World, _case: int, scene: Scene) -> bool:
    return _signal([psutil.Process(scene.runner)], signal.SIGKILL)


def _delete_pod(world: World, _case: int, _scene: Scene) -> bool:
    words = (
        "-n",
        world.namespace,
        "delete",
        "pod",
        "buildkitd",
        "--grace-period=0",
        "--force",
        "--wait=false",
    )
    return world.kubectl(*words, check=False).returncode == 0


def _evict(world: World, _case: int, _scene: Scene) -> bool:
    server = f"/api/v1/namespaces/{world.namespace}/pods/buildkitd/eviction"
    body = world.folder / "eviction.json"
    metadata = {"name": "buildkitd", "namespace": world.namespace}
    body.write_text(json.dumps({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}))
    return world.kubectl("create", "--raw", server, "-f", str(body), check=False).returncode == 0


def _of_registry(name: str, kind: str, phases: tuple[str, ...] = PHASES, **action: Any) -> Fault:  # noqa: ANN401
    def strike(world: World, _case: int, scene: Scene) -> bool:
        with world.admin as admin:
            scene.tool = admin.add_fault(kind, **action)
        return True

    steps = ("test_push",) if "path" in action else _REGISTRY_STEPS  # no other step asks for what lies there
    return Fault(name, strike, steps, phases, hit=_met)


def _met(world: World, scene: Scene) -> bool:
    """Whether the registry itself counts a request that the fault met."""
    with world.admin as admin:
        return any(f["struck"] for f in admin.faults() if f["id"] == scene.tool)


FAULTS: tuple[Fault, ...] = (
    *(_to_component(c, s) for c in _COMPONENTS for s in (signal.SIGKILL, signal.SIGSTOP)),
    *(
        _to_program(p, s, t)
        for p in _PROGRAMS
        for s in (signal.SIGKILL, signal.SIGSTOP)
        for t in _PROGRAM_STEPS
    ),
    Fault("SIGKILL the runbook itself", _runner, STEPS, (*PHASES, *MIDDLES)),
    Fault(
        "pod deleted by force",
        _delete_pod,
        ("install_pod", "fetch_buildctl", "test_push"),
        ("apply", "verify", *MIDDLES),
        takes_builder=True,
    ),
    Fault(
        "pod evicted",
        _evict,
        ("install_pod", "fetch_buildctl", "test_push"),
        ("apply", "verify", *MIDDLES),
        takes_builder=True,
    ),
    _of_registry("registry answers 401", "status", status=401),
    _of_registry("registry answers 403", "status", status=403),
    _of_registry("registry answers 429 with Retry-After", "status", status=429, retry_after=1),
    _of_registry("registry answers 503 four times", "status", status=503, times=4),
    _of_registry("registry answers 500 for ever", "status", status=500),
    _of_registry("registry cuts answers after 10 bytes", "cut", after_bytes=10),
    _of_registry(
        "registry cuts uploads after 100 bytes",
        "cut",
        ("apply",),
        side="request",
        path=UPLOADS,
        after_bytes=100,
    ),
    _of_registry("registry is a black hole", "black_hole", seconds=60),
    replace(_of_registry("registry is 200 ms away", "latency", milliseconds=200), must_pass=True),
    _of_registry("registry hands out expired tokens", "expired_token", (*PHASES, "push")),
    _of_registry(
        "registry corrupts uploads", "corrupt", ("apply",), side="request", path=UPLOADS, method="PUT"
    ),
    _of_registry("registry names a wrong digest", "wrong_digest", ("apply", "verify"), path="/manifests/"),
    _of_registry(
        "registry answers 429 amid the push", "status", ("push",), status=429, retry_after=1, times=2
    ),
    _of_registry("registry answers 503 amid the push", "status", ("push",), status=503, times=6),
    _of_registry("registry answers 401 amid the push", "status", ("push",), status=401),
    _of_registry(
        "registry cuts an upload amid the push",
        "cut",
        ("push",),
        side="request",
        path=UPLOADS,
        after_bytes=100,
    ),
    *SCENES,
    *DISKS,
    *CLOCKS,
    *RUN_POD,
    *HEADLESS,
)


def cases(steps: tuple[str, ...] = STEPS) -> list[tuple[str, str, Fault]]:
    """Every (step, phase, fault)."""
    return [(s, p, f) for s in steps for f in FAULTS if s in f.steps for p in f.phases_of(s)]
