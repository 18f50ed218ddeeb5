"""The step from check to proof, on a real registry behind the OCIR double."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import trustme

from runbook_lib.findings import Status
from runbook_lib.journal import Journal
from runbook_lib.plan import Action
from runbook_lib.progress import silent_sink
from runbook_lib.settings import Settings
from runbook_lib.settings_sources import load
from runbook_lib.steps import configure_auth
from runbook_lib.steps.configure_auth import ConfigureAuth
from runbook_lib.steps.written_logins import written_logins
from sandbox.build import ensure_tool
from sandbox.double.lab import FEDERATED, OWNER, READER, Lab

MakeStep = Callable[..., ConfigureAuth]


@pytest.fixture(scope="module", name="lab")
def lab_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1", "127.0.0.2")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    leaf.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    leaf.private_key_pem.write_to_path(folder / "tls.key")
    program = os.environ.get("SANDBOX_REGISTRY_BINARY") or ensure_tool("registry")["registry"]
    with Lab(folder, Path(program), folder / "tls.crt", folder / "tls.key") as running:
        yield running


@pytest.fixture
def step(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeStep:
    def make(username: str = OWNER, password: str | None = None, **more: object) -> ConfigureAuth:
        monkeypatch.setenv("LAB_TOKEN", lab.passwords[username] if password is None else password)
        values: dict[str, object] = {
            "registry": lab.host,
            "registry_username": username,
            "registry_credential": "env:LAB_TOKEN",
            "registry_ca": str(lab.folder / "ca.pem"),
            "registry_flavor": "ocir",
            "docker_config": str(tmp_path / "docker"),
            "run_dir": str(tmp_path / "run"),
        }
        settings: Settings = load({**values, **more}, environ={})
        return ConfigureAuth(settings, Journal(tmp_path / "run"), silent_sink)

    return make


def test_from_check_to_proof_and_nothing_on_the_second_apply(
    lab: Lab, step: MakeStep, tmp_path: Path
) -> None:
    one = step()
    assert one.check().passed
    plan = one.plan()
    assert not plan.is_empty
    assert lab.passwords[OWNER] not in str(plan)
    assert "$LAB_TOKEN" in "\n".join(plan.commands)
    assert not one.verify().passed
    assert one.apply().passed
    assert one.verify().passed
    assert one.plan().is_empty
    assert "nothing was written" in str(one.apply())
    assert written_logins(one.journal) == {str(tmp_path / "docker" / "config.json"): [lab.host]}
    assert lab.passwords[OWNER] not in one.journal.path.read_text()


def test_several_registries_are_each_proven(lab: Lab, step: MakeStep, tmp_path: Path) -> None:
    second = {
        "registry": lab.second_host,
        "username": OWNER,
        "credential": "env:LAB_TOKEN",
        "ca": str(lab.folder / "ca.pem"),
    }
    one = step(more_registries=[second])
    one.apply()
    assert one.verify().passed
    written = json.loads((tmp_path / "docker" / "config.json").read_text())
    assert set(written["auths"]) == {lab.host, lab.second_host}


def test_the_secret_for_pushes_holds_docker_hub_as_docker_looks_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept: list[dict[str, Any]] = []

    def keep(_cluster: object, _name: str, config: dict[str, Any], _instance: str) -> Action:
        kept.append(config)
        return Action.CREATE

    monkeypatch.setattr(configure_auth, "apply_dockerconfig_secret", keep)
    monkeypatch.setattr(ConfigureAuth, "cluster", None)
    monkeypatch.setenv("LAB_TOKEN", "an-auth-token")
    values = {
        "registry": "index.docker.io",
        "registry_username": "jdoe",
        "registry_credential": "env:LAB_TOKEN",
        "docker_config": str(tmp_path / "docker"),
        "push_secret": "logins",
    }
    ConfigureAuth(load(values, environ={}), Journal(tmp_path / "run"), silent_sink).apply()
    file = json.loads((tmp_path / "docker" / "config.json").read_text())
    assert kept == [file]
    assert list(file["auths"]) == ["https://index.docker.io/v1/"]


def test_a_wrong_token_is_written_but_never_called_proven(step: MakeStep) -> None:
    one = step(password="wrong:token")
    assert one.apply().passed
    found = one.verify()
    assert [f.status for f in found] == [Status.FAIL, Status.WARN]  # the likely cause, not a proof
    assert "anonymous" in str(found)


def test_a_reader_may_not_push(step: MakeStep) -> None:
    one = step(READER)
    one.apply()
    assert "does not carry push" in str(one.verify())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"registry_username": "jdoe"}, "not of a form"),
        ({"registry_credential": ""}, "where the token"),
        ({"registry_credential": "env:LAB_NOT_SET"}, "not set"),
        ({"registry": "127.0.0.1:1"}, "refused"),
        ({"registry_ca": "/nowhere/ca.pem"}, "CA file"),
        ({"registry": ""}, "no registry"),
        ({"auth_method": "oci"}, "not on PATH"),
    ],
)
def test_the_check_says_what_to_mend(step: MakeStep, more: dict[str, object], said: str) -> None:
    found = step(**more).check()
    assert not found.passed
    assert said in str(found)
    assert all(f.remedy for f in found if f.status is Status.FAIL)


@pytest.mark.parametrize(
    ("token", "said"), [(" blank-at-the-front", "a blank"), ('"in-quotes-of-test"', "in quotes")]
)
def test_the_check_warns_of_a_token_that_cannot_be_one(step: MakeStep, token: str, said: str) -> None:
    found = step(password=token).check()
    assert found.passed
    warning = next(f for f in found if f.status is Status.WARN)
    assert said in warning.message
    assert "as it was shown" in warning.remedy


def test_other_user_names_are_tried_where_the_parameter_says_so(lab: Lab, step: MakeStep) -> None:
    mistaken = FEDERATED.replace("oracleidentitycloudservice/", "")
    one = step(mistaken, password=lab.passwords[FEDERATED], try_user_names=True)
    assert one.apply().passed
    found = one.verify()
    assert not found.passed
    assert f"set registry_username to {FEDERATED}" in str(found)


def test_a_login_under_another_name_of_the_registry_is_named(
    step: MakeStep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(*_: object, **__: object) -> NoReturn:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "config.json").write_text('{"auths": {"iad.ocir.io": {"auth": "YS9iOmM="}}}')
    host = "ocir.us-ashburn-1.oci.oraclecloud.com"
    found = step(registry=host, registry_credential="").check()
    assert "a login is stored for iad.ocir.io, another name of the same registry" in str(found)


@pytest.mark.parametrize(
    ("method", "said"), [("oci", "/20180419/docker/token"), ("docker", "--password-stdin")]
)
def test_the_plan_shows_the_commands_of_its_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, said: str
) -> None:
    (tmp_path / "oci").write_text('#!/bin/sh\necho \'{"data": {"token": "short"}}\'\n')
    (tmp_path / "oci").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("LAB_TOKEN", "an-auth-token")
    settings = load(
        {
            "registry": "iad.ocir.io",
            "registry_username": "ns/jdoe",
            "registry_credential": "env:LAB_TOKEN",
            "docker_config": str(tmp_path / "docker"),
            "auth_method": method,
        },
        environ={},
    )
    [line] = ConfigureAuth(settings, Journal(tmp_path), silent_sink).plan().commands
    assert said in line
    assert ("BEARER_TOKEN" in line) is (method == "oci")
    assert ("config.json" in line) is (method != "docker"), "docker writes the file itself"
