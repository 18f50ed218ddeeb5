"""Whole runs on the sandbox, started as a person or a pipeline starts them: as processes, by parameters."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from on_sandbox import PARAMETERS, run_kubectl

from runbook_lib.run import processes

SECONDS = 150
_WRITES = {"create", "update", "patch", "delete", "deletecollection"}
# What the runbook creates without changing anything: it asks what it may do, and talks to the daemon.
_HARMLESS = {("selfsubjectaccessreviews", ""), ("pods", "exec")}


@dataclass(frozen=True)
class Runbook:
    """The runbook over one namespace; the token is known to the processes as TOKEN_VARIABLE only."""

    sandbox: dict[str, str]
    namespace: str
    folder: Path
    token: str
    TOKEN_VARIABLE = "E2E_REGISTRY_TOKEN"  # a name

    @property
    def parameters(self) -> dict[str, Any]:
        values: dict[str, Any] = {name: self.sandbox[name] for name in PARAMETERS}
        values["mirrors"] = json.loads(self.sandbox["mirrors"])
        values["registry_credential"] = f"env:{self.TOKEN_VARIABLE}"
        values["namespace"] = self.namespace
        values["repository"] = f"sandboxns/{self.namespace}/hello"
        values["docker_config"] = str(self.folder / "docker")
        values["bin_dir"] = str(self.folder / "bin")
        values["run_dir"] = str(self.folder / "runs")
        return values

    @property
    def options(self) -> list[str]:
        return [
            f"--{name.replace('_', '-')}={value if isinstance(value, str) else json.dumps(value)}"
            for name, value in self.parameters.items()
        ]

    @property
    def environ(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("RUNBOOK_")}
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return {**kept, "HOME": str(home), self.TOKEN_VARIABLE: self.token}

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "runbook_lib", *words],
            env=self.environ,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, *words: str) -> tuple[int, str]:
        with self.start(*words) as process:
            out, _ = process.communicate(timeout=SECONDS)
        return process.returncode, out

    @property
    def newest(self) -> Path:
        return max(path.parent for path in (self.folder / "runs").glob("*/run.json"))

    def served_digest(self, tag: str = "test.01") -> str:
        """What the registry says, asked without the runbook's own client."""
        host, ca = self.sandbox["registry"], self.sandbox["registry_ca"]
        repository = self.parameters["repository"]
        with httpx.Client(verify=ssl.create_default_context(cafile=ca)) as client:
            auth = (self.sandbox["registry_username"], self.token)
            asked = {"service": host, "scope": f"repository:{repository}:pull"}
            token = client.get(f"https://{host}/20180419/docker/token", params=asked, auth=auth).json()
            headers = {
                "Authorization": f"Bearer {token.get('token') or token['access_token']}",
                "Accept": ", ".join(
                    f"application/vnd.oci.image.{kind}.v1+json" for kind in ("manifest", "index")
                ),
            }
            answer = client.head(f"https://{host}/v2/{repository}/manifests/{tag}", headers=headers)
            answer.raise_for_status()
            return answer.headers["docker-content-digest"]

    def left_over(self) -> list[psutil.Process]:
        return [p for path in (self.folder / "runs").glob("*") for p in processes.processes_of(path)]

    def audit_mark(self) -> int:
        return Path(self.sandbox["audit_log"]).stat().st_size

    def writes_since(self, mark: int) -> list[str]:
        """What was written to the namespace by a user of the kubeconfig, and not by the cluster itself."""
        with Path(self.sandbox["audit_log"]).open("rb") as log:
            log.seek(mark)
            events = [json.loads(line) for line in log]
        return [
            f"{e['verb']} {e['requestURI']}"
            for e in events
            if e["verb"] in _WRITES
            and not e["user"]["username"].startswith("system:")
            and (e.get("objectRef") or {}).get("namespace") == self.namespace
            and (e["objectRef"]["resource"], e["objectRef"].get("subresource", "")) not in _HARMLESS
        ]


def runbook_in(sandbox: dict[str, str], folder: Path) -> Iterator[Runbook]:
    """A runbook over a fresh namespace, which is removed afterwards."""
    name = f"e2e-{os.urandom(4).hex()}"
    run_kubectl(sandbox, "create", "namespace", name)
    token = Path(sandbox["registry_credential"].removeprefix("file:")).read_text().strip()
    yield Runbook(sandbox, name, folder, token)
    run_kubectl(sandbox, "delete", "namespace", name, "--wait=false")
