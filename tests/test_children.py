"""No program that is started gets a variable that a credential is read from, unless it must read it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from runbook_lib import credentials
from runbook_lib.builder import buildctl
from runbook_lib.credentials import CredentialReference, SecretValue, environment_for_children
from runbook_lib.errors import RunbookError
from runbook_lib.registry.credential_helper import CredentialHelper
from runbook_lib.registry.logins import Login
from runbook_lib.registry.other_ways import docker_login, oci_login
from runbook_lib.run.processes import kernel_environment
from runbook_lib.settings_sources import load
from runbook_lib.ui import children

CANARY = "child-c4nary"
LOGIN = Login("ns/u", SecretValue("another-value"))
ROOT = Path(credentials.__file__).parent


def _buildctl(bin_folder: Path) -> None:
    buildctl.client_version(bin_folder / "program")


def _builder(bin_folder: Path) -> None:
    buildctl.Builder(bin_folder / "program", "tcp://127.0.0.1:1").daemon_version()


def _helper(_: Path) -> None:
    CredentialHelper("program").get("reg.example")


def _docker(bin_folder: Path) -> None:
    docker_login("reg.example", LOGIN, bin_folder)


def _oci(_: Path) -> None:
    oci_login("iad.ocir.io")


def _sandbox(_: Path) -> None:
    children.sandbox_up("default", lambda _: None, lambda _: None)


def _report(bin_folder: Path) -> None:
    children.write_report(bin_folder)


STARTS = (_buildctl, _builder, _helper, _docker, _oci, _sandbox, _report)


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs under every name, which write their environment to `seen` and do nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = f"#!/bin/sh\nenv > '{folder}/seen'\n"
    for name in ("program", "docker-credential-program", "docker", "oci"):
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(children, "_module", lambda *_: [str(folder / "program")])
    monkeypatch.setattr(credentials, "_variables", set())
    monkeypatch.setenv("OCIR_TOKEN_OF_TEST", CANARY)
    monkeypatch.setenv("RUNBOOK_NAMESPACE", CANARY)
    monkeypatch.setenv("HARMLESS", "kept")
    load({"registry": "iad.ocir.io", "registry_credential": "env:OCIR_TOKEN_OF_TEST"}, environ={})
    return folder


@pytest.mark.parametrize("start", STARTS)
def test_no_child_gets_the_secret(bin_folder: Path, start: Callable[[Path], None]) -> None:
    with contextlib.suppress(RunbookError):  # the program says nothing useful; what it saw is looked at
        start(bin_folder)
    seen = (bin_folder / "seen").read_text()
    assert "HARMLESS=kept" in seen
    assert "PATH=" in seen
    assert CANARY not in seen
    assert os.environ["OCIR_TOKEN_OF_TEST"] == CANARY


def test_a_kernel_reads_its_credential_itself(bin_folder: Path, tmp_path: Path) -> None:
    assert kernel_environment(tmp_path)["OCIR_TOKEN_OF_TEST"] == CANARY


@pytest.mark.usefixtures("bin_folder")
def test_a_reference_that_is_half_typed_takes_nothing_that_programs_need() -> None:
    for text in ("env:PATH", "env:HOME", "env:HARMLESS"):
        CredentialReference.parse(text)
    given = environment_for_children()
    assert given["PATH"] == os.environ["PATH"]
    assert "HARMLESS" not in given


def test_a_name_that_is_kept_in_memory_is_taken_out_too(
    bin_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "_kept", {})
    monkeypatch.setenv("TYPED_OF_TEST", "an older value")
    credentials.keep("TYPED_OF_TEST", "typed-value-of-test")
    assert "TYPED_OF_TEST" not in environment_for_children()


def test_every_program_is_started_by_one_of_these() -> None:
    """Who starts programs stands here: a new one must be given an environment, and a place above."""
    starting = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        if re.search(r"subprocess\.(run|Popen|check_\w+|call)\(", path.read_text())
    }
    assert starting == {
        "builder/process.py",  # takes the environment from its caller
        "registry/credential_helper.py",
        "registry/other_ways.py",
        "ui/children.py",
    }
    for name in starting:
        for call in re.findall(r"subprocess\.(?:run|Popen)\((.*?)\n +\)", (ROOT / name).read_text(), re.S):
            assert "env=" in call, name
