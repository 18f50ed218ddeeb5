"""The printed commands write, when typed, the login that the step would write: for each auth_method."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from runbook_lib.credentials import SecretValue
from runbook_lib.registry import other_ways
from runbook_lib.registry.by_hand import commands_for
from runbook_lib.registry.docker_config import DockerConfigFile
from runbook_lib.registry.logins import Login
from runbook_lib.registry.targets import Target

HOST = "iad.ocir.io"
OCI = """#!/bin/sh
printf '%s\\n' "$@" > "$HOME/oci.called"
echo '{"data": {"token": "short-lived"}, "status": "200 OK"}'
"""
DOCKER = """#!/bin/sh
{ printf '%s\\n' "$@"; cat; } > "$HOME/docker.called"
"""


def target(**more: Any) -> Target:  # noqa: ANN401
    values = {"host": HOST, "username": "ns/jdoe", "reference": "env:MY_TOKEN", "ca": "", "flavor": "ocir"}
    return Target(**{"repository": "ns/hello", **values, **more})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    for name, text in (("oci", OCI), ("docker", DOCKER)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


def typed(home: Path, lines: tuple[str, ...]) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
        env={"PATH": f"{home / 'bin'}:/usr/bin:/bin", "HOME": str(home), "MY_TOKEN": "an-auth-token"},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout


def decoded(auth: str) -> str:
    return base64.b64decode(auth).decode()


@pytest.mark.parametrize(
    ("method", "flavor", "login"),
    [
        ("file", "ocir", "ns/jdoe:an-auth-token"),
        ("oci", "ocir", "BEARER_TOKEN:short-lived"),
        ("oci", "distribution", "ns/jdoe:an-auth-token"),  # as the step: only OCIR has such tokens
    ],
)
def test_the_file_is_written_with_the_login_of_the_method(
    home: Path, method: str, flavor: str, login: str
) -> None:
    path = home / "docker folder" / "config.json"
    one = target(flavor=flavor)
    typed(home, commands_for(one, path, alone=True, method=method))
    assert decoded(json.loads(path.read_text())["auths"][HOST]["auth"]) == login
    printed = typed(home, commands_for(one, path, method=method))
    assert decoded(printed) == login, "the line to put into a file that is there"


def test_the_token_is_asked_for_as_the_step_asks(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed(home, commands_for(target(username="", reference=""), home / "c.json", method="oci"))
    by_hand = (home / "oci.called").read_text()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", f"{home / 'bin'}:/usr/bin:/bin")
    (home / "oci.called").unlink()
    assert other_ways.oci_login(HOST).username == "BEARER_TOKEN"
    assert (home / "oci.called").read_text() == by_hand


def test_docker_hub_is_written_as_docker_looks_for_it(home: Path) -> None:
    path = home / "config.json"
    hub = target(host="docker.io", flavor="distribution")
    assert '"https://index.docker.io/v1/"' in commands_for(hub, home / "other" / "config.json")[1]
    typed(home, commands_for(hub, path, alone=True))
    assert list(json.loads(path.read_text())["auths"]) == ["https://index.docker.io/v1/"]
    login = DockerConfigFile(path).credential_for("docker.io")
    assert login is not None
    assert login.secret.reveal() == "an-auth-token"


@pytest.mark.parametrize("there", [False, True])
def test_docker_logs_in_itself(home: Path, there: bool) -> None:
    path = home / "config.json"
    if there:
        path.write_text("{}")
    lines = commands_for(target(), path, alone=True, method="docker")
    typed(home, lines)
    called = (home / "docker.called").read_text().splitlines()
    assert called == [
        "--config", str(home), "login", "--username", "ns/jdoe", "--password-stdin", HOST, "an-auth-token",
    ]  # fmt: skip
    assert not any("base64" in line for line in lines), "docker writes the file"


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "registry-1.docker.io"])
def test_docker_logs_in_at_the_hub_as_it_looks_for_it(
    home: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """`docker login index.docker.io` writes that very name, for which docker then does not look."""
    hub = target(host=host, flavor="distribution")
    typed(home, commands_for(hub, home / "config.json", method="docker"))
    by_hand = (home / "docker.called").read_text()
    assert by_hand.splitlines()[-2:] == ["https://index.docker.io/v1/", "an-auth-token"]
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", f"{home / 'bin'}:/usr/bin:/bin")
    (home / "docker.called").unlink()
    other_ways.docker_login(host, Login("ns/jdoe", SecretValue("an-auth-token")), home)
    assert by_hand == f"--config\n{home}\n" + (home / "docker.called").read_text()
