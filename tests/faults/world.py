"""The world the faults strike: one sandbox instance, one namespace, and the processes in it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil
from on_sandbox import PARAMETERS
from processes import is_below, name_of, reap, variable_of
from runner import Runner, Running
from storage import Storage

from sandbox.build.debian import ensure_packages
from sandbox.cluster.down import down
from sandbox.cluster.layout import layout_for
from sandbox.cluster.processes import find_daemons
from sandbox.cluster.report import environment, read_status
from sandbox.cluster.up import up
from sandbox.console import Reporter
from sandbox.double.admin import Admin

# Short limits, so that what is to be detected is detected soon.
_LIMITS = {"request_timeout": 5.0, "ready_timeout": 20.0, "build_timeout": 60.0, "stall_timeout": 10.0}
# Not the mark of headless runs: those end the processes of runs that nobody is at.
MARK = "FAULTS_CASE"
UPLOADS = "/blobs/uploads/"  # the paths under which a registry takes blobs
BUILD = "FROM busybox\nARG ROUND=0\nRUN echo round $ROUND && sleep 1 && echo built > /built\n"
PACKAGES = ("libfaketime",)
_BASE = 0  # the number of the "case" that stands for what is there before each


class World:
    """`folder` holds docker config, binaries, build context and journals; nothing of it is in the tree."""

    def __init__(self, instance: str, folder: Path) -> None:
        self.instance, self.folder = instance, folder
        self.namespace = f"faults-{secrets.token_hex(3)}"
        self.layout = layout_for(instance)
        self.runner = Runner()
        self._canary = secrets.token_hex(12)

    @cached_property
    def env(self) -> dict[str, str]:
        """What the sandbox tells its users, by name without prefix; it stays the same while it is kept."""
        return environment(self.layout)

    @cached_property
    def token(self) -> str:
        """The secret of the login."""
        return self.layout.admin_token.read_text().strip()

    @cached_property
    def proxied_registry(self) -> str:
        """host:port where a scene's proxy may stand before the registry, for the node and for us."""
        host = self.env["REGISTRY"].rpartition(":")[0]
        with socket.create_server((host, 0)) as free:
            return f"{host}:{free.getsockname()[1]}"

    @property
    def storage(self) -> Storage:
        """What distribution keeps of the cases' repository."""
        root = self.layout.data / "registry" / "docker" / "registry" / "v2"
        return Storage(root, str(self.parameters(_BASE)["repository"]))

    @property
    def admin(self) -> Admin:
        return Admin(self.env["DOUBLE_ADMIN"])

    def prepare(self) -> None:
        """Bring the instance up, with the namespace and the build context."""
        ensure_packages(PACKAGES, "the faults of the clock", Reporter(quiet=True))
        self.up()
        for name in ("context", "home", "tmp"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "context" / "Dockerfile").write_text(BUILD)
        self.kubectl("create", "namespace", self.namespace)

    def plant_canary(self) -> None:
        """Give the login a token whose forms all differ: it needs escapes in JSON and in addresses.

        The same one for the life of this object: the watch over all processes looks for it.
        """
        self.layout.admin_token.write_text(f'can/ary+"{self._canary}"&x=1%\n')
        self.__dict__.pop("token", None)

    def up(self) -> None:
        """Start what of the instance does not run."""
        up(self.layout, Reporter(quiet=True))
        reap()

    def rebuild(self) -> None:
        """The instance anew, where it cannot be mended."""
        self.runner.close()
        self.reset()
        for name in ("env", "token", "proxied_registry"):
            self.__dict__.pop(name, None)
        shutil.rmtree(self.folder / "docker_config", ignore_errors=True)
        self.prepare()
        self.plant_canary()

    def reset(self) -> None:
        """Take the instance away, state and all."""
        down(self.layout, Reporter(quiet=True), remove_state=True)
        reap()

    def close(self) -> None:
        self.runner.close()

    def is_well(self) -> bool:
        """Whether all daemons run, the node is Ready and the registry takes the login."""
        return read_status(self.layout).healthy

    def has_builder(self) -> bool:
        """Whether there is a builder, whatever its state."""
        return self.kubectl("-n", self.namespace, "get", "pod", "buildkitd", check=False).returncode == 0

    @cached_property
    def buildctl_digest(self) -> str:
        """sha256 (hex) of the buildctl in the builder's container, which is of one image for ever."""
        words = ("-n", self.namespace, "exec", "buildkitd", "--", "sha256sum", "/usr/bin/buildctl")
        return self.kubectl(*words).stdout.partition(" ")[0]

    def parameters(self, number: int, **overrides: Any) -> dict[str, Any]:  # noqa: ANN401
        """The settings of case `number`: its build is new to the cache, its run folder its own."""
        values: dict[str, Any] = {name: self.env[name.upper()] for name in PARAMETERS}
        # A builder trusts the authority of all its mirrors: so it trusts the proxy, too.
        values["mirrors"] = {**json.loads(self.env["MIRRORS"]), "proxied.invalid": [self.proxied_registry]}
        values |= {"namespace": self.namespace, **_LIMITS}
        values |= {name: str(self.folder / name) for name in ("docker_config", "bin_dir")}
        values |= {"context_dir": str(self.folder / "context"), "build_args": {"ROUND": str(number)}}
        values |= {"repository": "sandboxns/faults/hello", "tags": [f"n{number}"]}
        return values | {"run_dir": str(self.run_dir(number))} | overrides

    def registry(self, overrides: dict[str, Any]) -> str:
        """host[:port] that a case with these overrides pushes to."""
        return str(self.parameters(_BASE, **overrides)["registry"])

    def run_dir(self, number: int) -> Path:
        return self.folder / "runs" / f"{number:05d}"

    def output(self, number: int) -> Path:
        return self.run_dir(number).with_suffix(".out")

    def begin(self, number: int) -> None:
        """The run folder of a case, with what the journal of the steps before would tell."""
        folder, base = self.run_dir(number), self.run_dir(_BASE) / "journal.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        lines = base.read_text().splitlines(keepends=True) if base.exists() else []
        facts = [line for line in lines if json.loads(line)["kind"] == "fact"]
        (folder / "journal.jsonl").write_text("".join(facts))

    def start(
        self,
        step: str,
        number: int,
        preload: dict[str, str] | None = None,
        **overrides: Any,  # noqa: ANN401
    ) -> Running:
        """The step as a process; its children inherit its mark. `preload`: variables it needs at its exec."""
        folder = self.run_dir(number)
        folder.mkdir(parents=True, exist_ok=True)
        parameters = folder.with_suffix(".json")
        parameters.write_text(json.dumps(self.parameters(number, **overrides)))
        start = self.runner.start if preload is None else self.runner.start_fresh
        return start(step, parameters, self.output(number), {**self._marks(number), **(preload or {})})

    def start_apart(self, step: str, number: int, **overrides: Any) -> Running:  # noqa: ANN401
        """As `start`, in a process that was not forked: many can be at work at once."""
        return self.start(step, number, preload={}, **overrides)

    def start_headless(self, step: str, number: int, *, resume: bool, **overrides: Any) -> Running:  # noqa: ANN401
        """The step as a headless run; its folder lies in the case's run folder."""
        values = self.parameters(number, **overrides)
        words = ["--resume"] if resume and any(self.run_dir(number).glob("*/run.json")) else ["--steps", step]
        words += [
            f"--{name.replace('_', '-')}={value if isinstance(value, str) else json.dumps(value)}"
            for name, value in values.items()
        ]
        kept = {k: v for k, v in os.environ.items() if not k.startswith("RUNBOOK_")}
        self.run_dir(number).mkdir(parents=True, exist_ok=True)
        with self.output(number).open("w") as out:
            return subprocess.Popen(
                [sys.executable, "-m", "runbook_lib", "run", *words],
                env={**kept, **self._marks(number)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def _marks(self, number: int) -> dict[str, str]:
        folders = {"HOME": str(self.folder / "home"), "TMPDIR": str(self.folder / "tmp")}
        return {MARK: str(self.run_dir(number)), **folders}

    def journals(self, number: int) -> list[Path]:
        """The journals of a case: its own, else that of its headless run."""
        return sorted(self.run_dir(number).glob("**/journal.jsonl"))

    def marked(self, number: int) -> list[psutil.Process]:
        """All processes of a case that carry its mark."""
        mark = str(self.run_dir(number))
        return [p for p in psutil.process_iter() if variable_of(p, MARK) == mark]

    def start_before(self, step: str, **overrides: Any) -> Running:  # noqa: ANN401
        """A step that has to be done before a case."""
        return self.start(step, _BASE, **overrides)

    def undo(self, step: str) -> None:
        """Take away what `step` makes, so that it has something to do."""
        if step == "install_pod":
            self.kubectl("-n", self.namespace, "delete", "pod", "buildkitd", "--now", "--ignore-not-found")
        if step == "configure_auth":
            shutil.rmtree(self.folder / "docker_config", ignore_errors=True)
        if step == "fetch_buildctl":
            shutil.rmtree(self.folder / "bin_dir", ignore_errors=True)

    def stands(self, step: str, registry: str) -> bool:
        """Whether what `step` makes is there, for the steps whose work lies in files."""
        if step == "configure_auth":
            path = self.folder / "docker_config" / "config.json"
            return path.exists() and registry in path.read_text()
        return step == "fetch_buildctl" and any((self.folder / "bin_dir").glob("*/buildctl"))

    def kubectl(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [
            self.env["KUBECTL"],
            f"--kubeconfig={self.env['KUBECONFIG']}",
            "--request-timeout=20s",
            *words,
        ]
        return subprocess.run(command, text=True, capture_output=True, timeout=60, check=check)

    def daemons(self, *components: str) -> list[psutil.Process]:
        """The processes of components; `buildkitd` is the builder's, inside its container."""
        known = find_daemons(self.layout.root)
        found = [d.process for d in known if d.component in components and not d.is_shim]
        if "buildkitd" in components:
            shims = {d.process.pid for d in known if d.is_shim}
            found += [p for p in psutil.process_iter() if name_of(p) == "buildkitd" and is_below(p, shims)]
        return found

    def children(self, number: int, program: str) -> list[psutil.Process]:
        """The processes of a case whose program is `program`."""
        return [p for p in self.marked(number) if name_of(p) == program]
