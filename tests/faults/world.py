"""The world the faults strike: one sandbox instance, one namespace, and the processes in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from sandbox.cluster.layout import Layout, layout_for
from sandbox.cluster.processes import find_daemons
from sandbox.double.admin import Admin

_NAMES = (
    "kubeconfig",
    "context",
    "registry",
    "registry_ca",
    "registry_username",
    "registry_credential",
    "kubectl",
)
# Short limits, so that what is to be detected is detected soon.
_LIMITS = {"request_timeout": 5.0, "ready_timeout": 60.0, "build_timeout": 60.0, "stall_timeout": 10.0}
# Not the mark of headless runs: those end the processes of runs that nobody is at.
MARK = "FAULTS_CASE"
BUILD = "FROM busybox\nARG ROUND=0\nRUN echo round $ROUND && sleep 1.5 && echo built > /built\n"


@dataclass(frozen=True)
class World:
    """`folder` holds docker config, binaries, build context and journals; nothing of it is in the tree."""

    instance: str
    folder: Path
    namespace: str = field(default_factory=lambda: f"faults-{os.urandom(3).hex()}")

    @property
    def layout(self) -> Layout:
        return layout_for(self.instance)

    @property
    def admin(self) -> Admin:
        return Admin(self._env()["DOUBLE_ADMIN"])

    def sandbox(self, *words: str) -> str:
        command = [sys.executable, "-m", "sandbox", *words, "--instance", self.instance, "--json"]
        done = subprocess.run(command, text=True, capture_output=True, timeout=240)
        if done.returncode:
            raise RuntimeError(f"sandbox {words[0]}: {done.stderr[-1500:]}")
        return done.stdout

    def prepare(self) -> None:
        """Bring the instance up, with the namespace and the build context."""
        self.sandbox("up")
        context = self.folder / "context"
        context.mkdir(parents=True, exist_ok=True)
        (context / "Dockerfile").write_text(BUILD)
        self.kubectl("create", "namespace", self.namespace)

    def parameters(self, number: int) -> dict[str, Any]:
        """The settings of case `number`: its build is new to the cache, its run folder its own."""
        env = self._env()
        values: dict[str, Any] = {name: env[name.upper()] for name in _NAMES}
        values |= {"mirrors": json.loads(env["MIRRORS"]), "namespace": self.namespace, **_LIMITS}
        values |= {name: str(self.folder / name) for name in ("docker_config", "bin_dir")}
        values |= {"context_dir": str(self.folder / "context"), "build_args": {"ROUND": str(number)}}
        values |= {"repository": "sandboxns/faults/hello", "tags": [f"n{number}"]}
        return values | {"run_dir": str(self.run_dir(number))}

    def run_dir(self, number: int) -> Path:
        return self.folder / "runs" / f"{number:05d}"

    def start(self, step: str, number: int) -> subprocess.Popen[str]:
        """The step as a process; its children inherit its mark."""
        folder = self.run_dir(number)
        folder.mkdir(parents=True, exist_ok=True)
        parameters = folder / "parameters.json"
        parameters.write_text(json.dumps(self.parameters(number)))
        command = [sys.executable, str(Path(__file__).with_name("one_step.py")), step, str(parameters)]
        env = {**os.environ, MARK: str(folder)}
        return subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def undo(self, step: str) -> None:
        """Take away what `step` makes, so that it has something to do."""
        if step == "install_pod":
            self.kubectl("-n", self.namespace, "delete", "pod", "buildkitd", "--now", "--ignore-not-found")
        if step == "configure_auth":
            shutil.rmtree(self.folder / "docker_config", ignore_errors=True)
        if step == "fetch_buildctl":
            shutil.rmtree(self.folder / "bin_dir", ignore_errors=True)

    def kubectl(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        env = self._env()
        command = [env["KUBECTL"], f"--kubeconfig={env['KUBECONFIG']}", "--request-timeout=20s", *words]
        return subprocess.run(command, text=True, capture_output=True, timeout=60, check=check)

    def daemons(self, component: str) -> list[psutil.Process]:
        """A component's processes; `buildkitd` is the builder's, inside its container."""
        if component == "buildkitd":
            return [p for p in psutil.process_iter() if _name(p) == "buildkitd" and self._is_below(p)]
        return [
            d.process for d in find_daemons(self.layout.root) if d.component == component and not d.is_shim
        ]

    def children(self, number: int, program: str) -> list[psutil.Process]:
        """The processes of a case whose program is `program`."""
        mark = str(self.run_dir(number))
        return [p for p in psutil.process_iter() if _name(p) == program and _mark(p) == mark]

    def left_over(self, number: int) -> list[str]:
        """Processes and temporary files of a case that should be gone."""
        mark = str(self.run_dir(number))
        found = [
            f"process {_name(p)}" for p in psutil.process_iter() if p.pid != os.getpid() and _mark(p) == mark
        ]
        found += [str(p) for p in (self.folder / "bin_dir").glob(".fetch-*")]
        return found + [str(p) for p in (self.folder / "docker_config").glob(".*.tmp.*")]

    def _is_below(self, process: psutil.Process) -> bool:
        try:
            shims = {d.process.pid for d in find_daemons(self.layout.root) if d.is_shim}
            return any(parent.pid in shims for parent in process.parents())
        except psutil.Error:
            return False

    def _env(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.sandbox("env"))
        return {name.removeprefix("SANDBOX_"): value for name, value in found.items()}


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return ""


def _mark(process: psutil.Process) -> str:
    try:
        return process.environ().get(MARK, "")
    except (psutil.Error, OSError):
        return ""
