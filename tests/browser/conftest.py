"""A real browser at a real JupyterLab over the sandbox; nothing of one test is left for the next."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import apart
import guided_lab
import pytest
from guided_lab import Lab
from on_sandbox import INSTANCE, run_kubectl
from page_reader import ARGUMENTS, CHROMIUM, Reader
from playwright.sync_api import Browser, sync_playwright

DEMO = "buildkit-demo"  # where the page's sandbox profile puts the builder


@pytest.fixture(scope="module")  # Playwright keeps an event loop running: other modules have their own
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert CHROMIUM.exists(), "Chromium is not installed: make browser"
    program = tmp_path_factory.mktemp("browser") / "chromium"
    words = [sys.executable, str(Path(apart.__file__)), str(CHROMIUM)]
    program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    program.chmod(0o755)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=str(program), args=[*ARGUMENTS, *apart.PROXY])
        yield running
        running.close()


@pytest.fixture(scope="session")
def one_lab(sandbox_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    running = guided_lab.start(tmp_path_factory.mktemp("lab"), INSTANCE[1])
    yield running
    guided_lab.stop(running)


@pytest.fixture
def lab(one_lab: Lab) -> Lab:
    """The server, with nothing in it from the test before."""
    guided_lab.renew(one_lab)
    return one_lab


@pytest.fixture
def read(browser: Browser) -> Iterator[Callable[..., Reader]]:
    """Opens a page in a new window; nothing may have gone wrong in its console when the test ends."""
    readers: list[Reader] = []

    def make(lab: Lab, width: int = 1280, height: int = 900) -> Reader:
        context = browser.new_context(viewport={"width": width, "height": height})
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        readers.append(Reader(context.new_page(), lab))
        return readers[-1]

    yield make
    for one in readers:
        one.page.context.close()
    assert [text for one in readers for text in one.errors] == []


@pytest.fixture
def token(sandbox_env: dict[str, str]) -> str:
    return Path(sandbox_env["registry_credential"].removeprefix("file:")).read_text().strip()


@pytest.fixture
def bare_cluster(sandbox_env: dict[str, str]) -> None:
    """No builder is there yet."""
    run_kubectl(sandbox_env, "delete", "namespace", DEMO, "--ignore-not-found", "--timeout=60s")


@pytest.fixture
def sandbox_docker_config(sandbox_env: dict[str, str]) -> Iterator[Path]:
    """The docker config that the sandbox's profile names, put back as it was."""
    path = Path(sandbox_env["docker_config"]) / "config.json"
    before = path.read_bytes() if path.exists() else None
    path.unlink(missing_ok=True)
    yield path
    if before is not None:
        path.write_bytes(before)
