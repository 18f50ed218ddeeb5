"""A real browser at a real JupyterLab over the sandbox; a home of its own for each test."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import guided_lab
import pytest
from guided_lab import Lab
from on_sandbox import INSTANCE, run_kubectl
from page_reader import ARGUMENTS, CHROMIUM, Reader
from playwright.sync_api import Browser, sync_playwright

DEMO = "buildkit-demo"  # where the page's sandbox profile puts the builder


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    assert CHROMIUM.exists(), "Chromium is not installed: make browser"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bin folder that tests share which are not about fetching."""
    return tmp_path_factory.mktemp("bin")


@pytest.fixture
def make_lab(sandbox_env: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    started: list[Lab] = []

    def make(**more: str) -> Lab:
        base = tmp_path / f"lab{len(started)}"
        base.mkdir()
        started.append(guided_lab.start(base, INSTANCE[1], **more))
        return started[-1]

    yield make
    for one in started:
        guided_lab.stop(one)


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


def kubectl_output(sandbox: dict[str, str], *words: str) -> str:
    command = [sandbox["kubectl"], "--kubeconfig", sandbox["kubeconfig"], *words]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60).stdout
