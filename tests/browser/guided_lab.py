"""A JupyterLab of the tests' own: a clean home folder, a copy of the notebooks, a free port."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbook_lib.steps.contract import REPOSITORY_ROOT

TOKEN = "browser-test"
_SETTINGS = {
    "@jupyter-widgets/jupyterlab-manager/plugin": {"saveState": True},
    "@jupyterlab/apputils-extension/notification": {"checkForUpdates": False},
}


@dataclass(frozen=True)
class Lab:
    """A running server. `work` holds the notebooks, `runs` the journal, `home` everything of the user."""

    base: Path
    url: str
    process: subprocess.Popen[bytes]

    @property
    def home(self) -> Path:
        return self.base / "home"

    @property
    def work(self) -> Path:
        return self.base / "work"

    @property
    def run_dir(self) -> Path:
        return self.base / "runs"

    def address(self, notebook: str) -> str:
        """Where a notebook opens; "" is where `make lab` opens, once it is laid out."""
        if not notebook:
            return f"{self.url}lab/workspaces/guided?token={TOKEN}"
        return f"{self.url}lab/tree/notebooks/{notebook}?token={TOKEN}"


def start(base: Path, instance: str) -> Lab:
    """Start JupyterLab below a base URL (as behind a proxy) and wait until it answers."""
    for name in ("home", "work"):
        (base / name).mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/behind/a/proxy/"
    command = [
        sys.executable, "-m", "jupyter", "lab", f"--config={REPOSITORY_ROOT / 'jupyter_lab_config.py'}",
        f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--ServerApp.base_url=/behind/a/proxy/",
        f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={base / 'work'}",
    ]  # fmt: skip
    with (base / "lab.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=_environment(base, instance), stdout=log, stderr=log, cwd=base / "work"
        )
    _await(f"{url}api/status?token={TOKEN}", process, base / "lab.log")
    return Lab(base, url, process)


def stop(lab: Lab) -> None:
    """End the server and its kernels."""
    lab.process.terminate()
    try:
        lab.process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        lab.process.kill()
        lab.process.wait(timeout=5)


def renew(lab: Lab, theme: str = "JupyterLab Light", locale: str = "") -> None:
    """As after a fresh clone and a fresh start: no kernel, no run, the notebooks as they are in the project.

    Fetched programs stay in the home folder; a test that is about fetching empties it.
    """
    for kernel in _asked(lab, "api/kernels"):
        _asked(lab, f"api/kernels/{kernel['id']}", "DELETE")
    for folder in (lab.run_dir, lab.work / "notebooks", lab.home / ".jupyter"):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(REPOSITORY_ROOT / "notebooks", lab.work / "notebooks")
    settings = {**_SETTINGS, "@jupyterlab/apputils-extension/themes": {"theme": theme}}
    if locale:
        settings["@jupyterlab/translation-extension/plugin"] = {"locale": locale}
    for name, values in settings.items():
        path = lab.home / ".jupyter" / "lab" / "user-settings" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))


def lay_out(lab: Lab) -> None:
    """Do what `make lab` does before it starts the server."""
    command = [sys.executable, "-m", "jupyter", "lab", "workspaces", "import"]
    layout = str(REPOSITORY_ROOT / "guided.jupyterlab-workspace")
    subprocess.run(
        [*command, layout], env=_environment(lab.base, ""), check=True, capture_output=True, timeout=60
    )


def _asked(lab: Lab, path: str, method: str = "GET") -> Any:  # noqa: ANN401
    headers = {"Authorization": f"token {TOKEN}"}
    request = urllib.request.Request(f"{lab.url}{path}", method=method, headers=headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=15) as answer:  # noqa: S310
        body = answer.read()
    return json.loads(body) if body else None


def _environment(base: Path, instance: str) -> dict[str, str]:
    # The sandbox's own folders too, or the page would find another sandbox than the tests do.
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("PATH", "PYTHONPATH", "SANDBOX_"))
    }
    own = {"HOME": str(base / "home"), "LANG": "C.UTF-8", "SANDBOX_INSTANCE": instance}
    return {**kept, **own, "RUNBOOK_RUN_DIR": str(base / "runs")}


def _await(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None:
                break
            time.sleep(0.2)
    raise AssertionError(f"JupyterLab did not start: {log.read_text()[-2000:]}")
