"""One namespace of the sandbox for a module's tests: its settings, steps, kubectl, and its writes counted."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml

from runbook_lib.cluster.manifest import MANIFESTS
from runbook_lib.journal import Journal
from runbook_lib.progress import silent_sink
from runbook_lib.settings import Settings
from runbook_lib.settings_sources import load
from runbook_lib.steps.contract import Step

AnyStep = TypeVar("AnyStep", bound=Step)
WRITES = ("create", "update", "patch", "delete", "deletecollection")


@dataclass(frozen=True)
class Site:
    """A namespace of the sandbox and a folder for what a runbook keeps on this side."""

    sandbox: dict[str, str]
    namespace: str
    folder: Path

    def settings(self, **overrides: Any) -> Settings:  # noqa: ANN401
        """Settings for this namespace; `overrides` win."""
        values: dict[str, Any] = {k: v for k, v in self.sandbox.items() if k in Settings.model_fields}
        values["mirrors"] = json.loads(self.sandbox["mirrors"])
        values["namespace"] = self.namespace
        for folder in ("docker_config", "bin_dir", "run_dir"):
            values[folder] = str(self.folder / folder)
        return load({**values, **overrides}, environ={})

    def step(self, step: type[AnyStep], **overrides: Any) -> AnyStep:  # noqa: ANN401
        """A step over such settings, with the site's journal."""
        settings = self.settings(**overrides)
        return step(settings, Journal(Path(settings.run_dir)), silent_sink)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as administrator in the namespace; returns what it printed."""
        command = [self.sandbox["kubectl"], "--kubeconfig", self.sandbox["kubeconfig"]]
        command += ["--namespace", self.namespace, *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def live(self, kind: str, name: str) -> dict[str, Any]:
        """A live object."""
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "--output=json"))
        return found

    def names(self, kinds: str) -> list[str]:
        """`kind/name` of every object of these kinds."""
        return self.kubectl("get", kinds, "--output=name").split()

    def apply(self, *documents: dict[str, Any], manager: str = "somebody") -> None:
        """Server-side apply by another field manager."""
        text = yaml.safe_dump_all(documents)
        arguments = ("apply", "--server-side", "--force-conflicts", f"--field-manager={manager}", "-f-")
        self.kubectl(*arguments, stdin=text)

    def written(self, work: Callable[[], object]) -> list[str]:
        """The writes that people and programs (not the cluster's own parts) sent here during `work`.

        Read from the API server's audit log. A dry run changes nothing and is no write; neither is an exec.
        """
        log = Path(self.sandbox["audit_log"])
        begin = log.stat().st_size
        work()
        with log.open("rb") as stream:
            stream.seek(begin if log.stat().st_size >= begin else 0)
            entries = [json.loads(line) for line in stream]
        return [f"{e['verb']} {e['requestURI']}" for e in entries if self._is_write(e)]

    def _is_write(self, entry: dict[str, Any]) -> bool:
        about = entry.get("objectRef") or {}
        here = about.get("namespace") == self.namespace or about.get("name") == self.namespace
        user = entry["user"]["username"]
        ours = not user.startswith("system:") or user.startswith(f"system:serviceaccount:{self.namespace}:")
        counts = about.get("subresource") != "exec" and "dryRun=" not in entry["requestURI"]
        return entry["verb"] in WRITES and here and ours and counts


def as_account(site: Site, role: str) -> Site:
    """The site as the ServiceAccount of manifests/role.<role>.yaml sees it: by a token of that account."""
    site.kubectl("apply", "-f", str(MANIFESTS / f"role.{role}.yaml"))
    document = yaml.safe_load(Path(site.sandbox["kubeconfig"]).read_text())
    token = site.kubectl("create", "token", f"buildkit-{role}", "--duration=20m").strip()
    document["users"][0]["user"] = {"token": token}
    path = site.folder / f"{role}.kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return Site({**site.sandbox, "kubeconfig": str(path)}, site.namespace, site.folder)


@pytest.fixture(scope="module", name="site")
def site_fixture(sandbox_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A fresh namespace for one module's tests."""
    site = Site(sandbox_env, f"t-{uuid.uuid4().hex[:10]}", tmp_path_factory.mktemp("site"))
    site.kubectl("create", "namespace", site.namespace)
    yield site
    site.kubectl("delete", "namespace", site.namespace, "--wait=false")
