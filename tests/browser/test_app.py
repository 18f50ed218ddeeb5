"""`make app`: the guided page without code, by Voila, on loopback and with a token."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from page_reader import SCREENSHOTS, SLOW
from playwright.sync_api import Browser, expect

from runbook_lib.steps.contract import REPOSITORY_ROOT

pytestmark = pytest.mark.sandbox


@pytest.fixture
def app(sandbox_env: dict[str, str], tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The running server, and the address that it has printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    environ |= {"HOME": str(tmp_path), "LANG": "C.UTF-8", "KUBECONFIG": sandbox_env["kubeconfig"]}
    environ |= {"RUNBOOK_RUN_DIR": str(tmp_path / "runs")}
    # -o: what is installed stays as it is.
    command = ["make", "-o", ".venv/.installed", "app", f"APP=--port={port}"]
    log = tmp_path / "app.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=REPOSITORY_ROOT, env=environ, stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield process, _address(process, log)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=15)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:\d+/\S*token=\S+", log.read_text()):
            return found[0]
        time.sleep(0.1)
    raise AssertionError(f"it printed no address: {log.read_text()[-2000:]}")


def test_the_page_comes_without_code_and_answers(
    app: tuple[subprocess.Popen[bytes], str], browser: Browser, sandbox_env: dict[str, str]
) -> None:
    process, address = app
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    try:
        page.goto(address.partition("?")[0])
        expect(page.locator("#password_input")).to_be_visible()
        expect(page.locator(".bkr-page")).to_have_count(0)
        page.goto(address)
        guided = page.locator(".bkr-page")
        expect(guided.get_by_role("button", name="Run all steps")).to_be_enabled(timeout=SLOW)
        expect(page.locator(".jp-InputArea-editor")).to_have_count(0)
        guided.get_by_role("button", name="Another cluster").click()
        expect(guided.get_by_role("radio", name=sandbox_env["context"])).to_be_visible(timeout=SLOW)
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(SCREENSHOTS / "app.png"))
    finally:
        page.close()
    sockets = [c for p in psutil.Process(process.pid).children(recursive=True) for c in p.net_connections()]
    listening = {c.laddr.ip for c in sockets if c.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}
