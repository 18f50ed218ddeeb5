"""A cluster of the tests' own, apart from any instance a person uses: they kill its parts."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sandbox.cluster.layout import Layout, layout_for

TEST_INSTANCE = "test-life"


@dataclass(frozen=True)
class Sandbox:
    """One instance, driven by the command line as a person would."""

    name: str

    @property
    def layout(self) -> Layout:
        return layout_for(self.name)

    def run(self, command: str, *options: str, check: bool = True) -> dict[str, Any]:
        """A command's JSON document; fails with its error output."""
        done = subprocess.run(
            [sys.executable, "-m", "sandbox", command, "--instance", self.name, "--json", *options],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        if check:
            assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout) if done.stdout else {"error": done.stderr}
        return document

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        environment = self.run("env")
        command = [
            environment["SANDBOX_KUBECTL"],
            f"--kubeconfig={environment['SANDBOX_KUBECONFIG']}",
            *arguments,
        ]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def cluster() -> Iterator[Sandbox]:
    """A running instance that tests may damage, if they repair it; reset before and after."""
    sandbox = Sandbox(TEST_INSTANCE)
    sandbox.run("reset")
    sandbox.run("up")
    try:
        yield sandbox
    finally:
        sandbox.run("reset")
