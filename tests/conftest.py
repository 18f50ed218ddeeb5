"""Fixtures on the embedded sandbox: brought up once, one fresh namespace a test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from on_sandbox import INSTANCE, PARAMETERS, run_kubectl

from runbook_lib import redaction
from runbook_lib.settings import Settings
from runbook_lib.settings_sources import load
from sandbox.double.admin import Admin


@pytest.fixture(autouse=True)
def own_secrets() -> Iterator[None]:
    """What a test learns to redact is forgotten after it: made-up tokens may be ordinary words elsewhere."""
    before = redaction._known
    redaction._known = set(before)
    yield
    redaction._known = before
    redaction._passing.clear()


@pytest.fixture(scope="session")
def sandbox_env() -> Iterator[dict[str, str]]:
    """What a user of the sandbox needs, by lower-case name; the instance is up for the session.

    SANDBOX_TEST_KEEP=1 leaves it up afterwards.
    """
    if os.geteuid() != 0:
        no_root = "the sandbox needs root"
        pytest.fail(no_root) if os.environ.get("CI") else pytest.skip(no_root)
    subprocess.run([sys.executable, "-m", "sandbox", "up", *INSTANCE], check=True, timeout=3600)
    command = [sys.executable, "-m", "sandbox", "env", "--json", *INSTANCE]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    yield {name.removeprefix("SANDBOX_").lower(): value for name, value in json.loads(done.stdout).items()}
    if not os.environ.get("SANDBOX_TEST_KEEP"):
        subprocess.run([sys.executable, "-m", "sandbox", "down", *INSTANCE], check=True, timeout=120)


@pytest.fixture
def namespace(sandbox_env: dict[str, str]) -> Iterator[str]:
    """A fresh namespace, removed after the test."""
    name = f"t-{uuid.uuid4().hex[:10]}"
    run_kubectl(sandbox_env, "create", "namespace", name)
    yield name
    run_kubectl(sandbox_env, "delete", "namespace", name, "--wait=false")


@pytest.fixture
def make_settings(sandbox_env: dict[str, str], namespace: str, tmp_path: Path) -> Callable[..., Settings]:
    """Settings bound to the sandbox, with a docker config, a bin folder and a run folder of their own."""

    def make(**overrides: Any) -> Settings:  # noqa: ANN401
        values: dict[str, Any] = {name: sandbox_env[name] for name in PARAMETERS}
        values["mirrors"] = json.loads(sandbox_env["mirrors"])
        values["namespace"] = namespace
        for folder in ("docker_config", "bin_dir", "run_dir"):
            values[folder] = str(tmp_path / folder)
        return load({**values, **overrides}, environ={})

    return make


@pytest.fixture
def registry_admin(sandbox_env: dict[str, str]) -> Iterator[Admin]:
    """The double's fault injection; cleared before and after the test."""
    with Admin(sandbox_env["double_admin"]) as admin:
        admin.reset()
        yield admin
        admin.reset()
