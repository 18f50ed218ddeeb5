"""The tests' own sandbox instance, for fixtures and for tests that ask the cluster themselves."""

from __future__ import annotations

import os
import subprocess

# Another name lets two test runs on one machine keep out of each other's way.
# Workers of pytest-xdist get one each, for all users of an instance see the faults that a test injects.
_NAME = os.environ.get("SANDBOX_TEST_INSTANCE", "tests")
_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
INSTANCE = ("--instance", f"{_NAME}-{_WORKER}" if _WORKER else _NAME)
PARAMETERS = (
    "kubeconfig",
    "context",
    "registry",
    "registry_ca",
    "registry_username",
    "registry_credential",
    "kubectl",
)


def run_kubectl(sandbox: dict[str, str], *arguments: str) -> str:
    """Run the sandbox's kubectl and return what it printed."""
    command = [sandbox["kubectl"], "--kubeconfig", sandbox["kubeconfig"], *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
