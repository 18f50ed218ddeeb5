"""Calling buildctl: address, environment, and the two questions that show a living daemon.

buildctl reads registry logins from the docker config folder on **this** side (and keeps a `.token_seed`
there); nothing of them is in the pod, on the command line or in a variable.
`debug info` exists since BuildKit v0.11; the plain `info` of older documents does not exist.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from runbook_lib.builder.process import Completed, run
from runbook_lib.credentials import environment_for_children
from runbook_lib.errors import BinaryError, BuilderError, VersionSkewError
from runbook_lib.findings import Finding, Status

CONTAINER = "buildkitd"
QUESTION_SECONDS = 20.0  # for one question to the daemon: a fault is to be told within 30
POD_VARIABLE = "$POD"  # stands for the pod's name in the address of a plan
# Homebrew and nix leave the v out. The version becomes the name of a folder, so it holds no slash.
_BANNER = re.compile(r"build(?:ctl|kitd)\s+\S*buildkit\S*\s+v?(\d[\w.+~-]*)(?=\s|$)")


def address(pod: str, namespace: str, context: str = "") -> str:
    """The builder's address; without a context kubectl uses the Pod's own ServiceAccount."""
    parts = {"context": context, "namespace": namespace, "container": CONTAINER}
    # '@', ':' and '/' of context names (user@cluster, ARNs) are legal in a URL's query.
    query = "&".join(f"{k}={quote(v, safe='@:/')}" for k, v in parts.items() if v)
    return f"kube-pod://{pod}?{query}"


def client_version(path: Path, timeout: float = 15.0) -> str:
    """The version that buildctl reports of itself, such as v0.34.2.

    Raises:
        BinaryError: it does not run, or does not answer like buildctl.
    """
    done = run([str(path), "--version"], clean_environment(), timeout)
    version = version_in(done.stdout)
    if done.code != 0 or not version:
        raise BinaryError(
            f"it does not answer like buildctl (exit code {done.code}): "
            f"{(done.stdout[:80].decode(errors='replace') or done.stderr[:200]).strip()}",
            where=str(path),
            remedy="run notebook 03 again, or correct the parameter buildctl",
            notebook="03_fetch_buildctl.ipynb",
        )
    return version


def version_in(banner: bytes) -> str:
    """The version, such as v0.34.2, in what buildctl or buildkitd answers to --version; "" for none."""
    match = _BANNER.match(banner.decode(errors="replace"))
    return f"v{match[1]}" if match else ""


def clean_environment() -> dict[str, str]:
    """This process's environment without BUILDKIT_HOST and without what may hold a secret."""
    return {k: v for k, v in environment_for_children().items() if k != "BUILDKIT_HOST"}


@dataclass(frozen=True, slots=True)
class Builder:
    """One buildctl bound to one builder.

    `address` is kube-pod://… (or any address buildctl takes); `kubectl_folder` holds kubectl under that
    name; `kubeconfig` and `docker_config` are what KUBECONFIG and DOCKER_CONFIG are set to, "" leaves
    them; `hidden` names further variables that buildctl must not inherit (those that hold credentials).
    """

    buildctl: Path
    address: str
    kubectl_folder: Path | None = None
    kubeconfig: str = ""
    docker_config: str = ""
    hidden: tuple[str, ...] = ()

    def environment(self) -> dict[str, str]:
        """The environment for buildctl and the kubectl it starts."""
        env = {k: v for k, v in clean_environment().items() if k not in self.hidden}
        if self.kubectl_folder is not None:
            env["PATH"] = os.pathsep.join([str(self.kubectl_folder), env.get("PATH", os.defpath)])
        if self.kubeconfig:
            env["KUBECONFIG"] = self.kubeconfig
        if self.docker_config:
            env["DOCKER_CONFIG"] = self.docker_config
        return env

    def argv(self, *args: str) -> list[str]:
        """The whole argument list of a call."""
        return [str(self.buildctl), "--addr", self.address, *args]

    def command_line(self, *args: str) -> str:
        """The call as a person types it; options stand on lines of their own when it is long."""
        words = [_quoted(word) for word in ["buildctl", "--addr", self.address, *args]]
        line = " ".join(words)
        return line if len(line) <= 100 else _folded(words)

    def setup_lines(self) -> tuple[str, ...]:
        """The `export` lines that a person needs before the calls."""
        folders = dict.fromkeys(str(f) for f in (self.buildctl.parent, self.kubectl_folder) if f is not None)
        lines = [f"export PATH={shlex.quote(os.pathsep.join(folders))}:$PATH"]
        if self.kubeconfig:
            lines.append(f"export KUBECONFIG={shlex.quote(self.kubeconfig)}")
        if self.docker_config:
            lines.append(f"export DOCKER_CONFIG={shlex.quote(self.docker_config)}")
        return tuple(lines)

    def run(self, *args: str, timeout: float = QUESTION_SECONDS) -> Completed:
        """Call buildctl and return how it ended."""
        return run(self.argv(*args), self.environment(), timeout)

    def daemon_version(self, timeout: float = QUESTION_SECONDS) -> str:
        """The daemon's own version, such as v0.34.2.

        Raises:
            BuilderError: the daemon does not answer; VersionSkewError: it is too old to tell, or names none.
        """
        done = self.run("debug", "info", "--format", "{{json .}}", timeout=timeout)
        if "unknown service" in done.stderr or "Unimplemented" in done.stderr:
            raise VersionSkewError(
                "the daemon is older than v0.11 and cannot tell its version",
                where=self.address,
                remedy="install a newer builder image",
                notebook="01_install_pod.ipynb",
            )
        answer = self._answer(done)
        try:
            return "v" + str(answer["buildkitVersion"]["version"]).removeprefix("v")
        except (KeyError, TypeError) as e:
            raise VersionSkewError(
                "the daemon answers, but names no version",
                where=self.address,
                remedy="install another builder image: this one is not an ordinary BuildKit",
                notebook="01_install_pod.ipynb",
            ) from e

    def workers(self, timeout: float = QUESTION_SECONDS) -> list[dict[str, Any]]:
        """The daemon's workers (id, labels, platforms, …) as `debug workers` gives them; at least one.

        Raises:
            BuilderError: the daemon does not answer, or has no worker.
        """
        found = self._answer(self.run("debug", "workers", "--format", "{{json .}}", timeout=timeout))
        if not isinstance(found, list) or not found:
            raise BuilderError(
                "the daemon has no worker",
                where=self.address,
                remedy="read the Pod's log: no worker could be set up (mode, kernel, mounts)",
                notebook="01_install_pod.ipynb",
            )
        return found

    def _answer(self, done: Completed) -> Any:  # noqa: ANN401
        try:
            if done.code == 0:
                return json.loads(done.stdout)
            reason = last_line(done.stderr)
        except ValueError:
            reason = "exit code 0, but the answer is not JSON"
        raise BuilderError(
            f"the daemon does not answer: {reason}",
            where=self.address,
            remedy="check that the builder pod runs and that `kubectl exec` into it is allowed",
            notebook="01_install_pod.ipynb",
        )


def last_line(text: str) -> str:
    """The last line of an error text that says something, cut to 400 characters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][-400:] if lines else "no message"


def skew(client: str, daemon: str) -> Finding:
    """How the versions of buildctl and buildkitd agree."""
    subject = f"buildctl {client} and daemon {daemon}"
    if client == daemon:
        return Finding(Status.OK, subject, "the versions are the same")
    if client.split(".")[:2] == daemon.split(".")[:2]:
        return Finding(Status.OK, subject, "the same minor version; they differ in patches only")
    return Finding(
        Status.WARN,
        subject,
        "the versions differ: the protocol is compatible, but newer options may be unknown to the older side",
        remedy="run notebook 03 with buildctl_sources: [pod, release] to fetch the daemon's own version",
        notebook="03_fetch_buildctl.ipynb",
    )


def _quoted(word: str) -> str:
    # The name of a Deployment's Pod is known only to the shell that has asked for it.
    return f'"{word}"' if word.startswith(f"kube-pod://{POD_VARIABLE}?") else shlex.quote(word)


def _folded(words: Sequence[str]) -> str:
    lines: list[str] = []
    for word in words:
        if not lines or word.startswith("--") or word in ("build", "debug"):
            lines.append(word)
        else:
            lines[-1] += f" {word}"
    return " \\\n  ".join(lines)
