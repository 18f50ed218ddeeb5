"""A JupyterLab of its own for one test: a clean home folder, a copy of the notebooks, a free port."""

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

from runbook_lib.steps.contract import REPOSITORY_ROOT

TOKEN = "browser-test"
_SETTINGS = {
    "@jupyter-widgets/jupyterlab-manager/plugin": {"saveState": True},
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
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
        return f"{self.url}lab/tree/notebooks/{notebook}?token={TOKEN}"

    def files(self) -> list[Path]:
        return [p for p in self.base.rglob("*") if p.is_file()]


def start(base: Path, instance: str, theme: str = "JupyterLab Light", locale: str = "", **env: str) -> Lab:
    """Start JupyterLab below a base URL (as behind a proxy) and wait until it answers."""
    shutil.copytree(REPOSITORY_ROOT / "notebooks", base / "work" / "notebooks")
    (base / "home").mkdir()
    settings = {**_SETTINGS, "@jupyterlab/apputils-extension/themes": {"theme": theme}}
    if locale:
        settings["@jupyterlab/translation-extension/plugin"] = {"locale": locale}
    for name, values in settings.items():
        path = base / "home" / ".jupyter" / "lab" / "user-settings" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
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
            command, env=_environment(base, instance, env), stdout=log, stderr=log, cwd=base / "work"
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


def _environment(base: Path, instance: str, more: dict[str, str]) -> dict[str, str]:
    names = ("PATH", "SANDBOX_CACHE", "PYTHONPATH")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    own = {"HOME": str(base / "home"), "LANG": "C.UTF-8", "SANDBOX_INSTANCE": instance}
    return {**kept, **own, "RUNBOOK_RUN_DIR": str(base / "runs"), **more}


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
