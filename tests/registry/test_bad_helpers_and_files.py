"""Credential helpers that fail, CA files and credentials that are none: typed errors, and nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from runbook_lib.credentials import CredentialReference, SecretValue
from runbook_lib.errors import (
    DockerConfigError,
    HelperMissingError,
    LoginRefusedError,
    MalformedCredentialError,
    MissingCredentialError,
    RegistryTlsError,
    RunbookError,
)
from runbook_lib.registry import credential_helper
from runbook_lib.registry.client import RegistryClient
from runbook_lib.registry.docker_config import DockerConfigFile
from runbook_lib.registry.logins import Login
from runbook_lib.registry.other_ways import docker_login, oci_login

HOST = "iad.ocir.io"
SECRET = "t0ken-of-this-test"
LOGIN = Login("ns/u", SecretValue(SECRET))
HELPERS = {
    "fails": ("echo vault is locked >&2; exit 3", "exit code 3: vault is locked"),
    "fails silently": ("exit 1", "no message"),
    "echoes the secret": ("cat; exit 1", "exit code 1"),
    "answers text": ("echo hello", "Username and a Secret"),
    "answers a list": ("echo []", "Username and a Secret"),
    "answers half": ("""echo '{"Username": "u"}'""", "Username and a Secret"),
    "is binary": ("printf '\\377\\376'", "cannot be run"),
    "hangs": ("exec sleep 30", "did not end"),
}


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], DockerConfigFile]:
    """A docker config whose logins are kept by a helper of the given script, beside another login."""

    def make(text: str) -> DockerConfigFile:
        helper = tmp_path / "bin" / "docker-credential-bad"
        helper.parent.mkdir()
        helper.write_text(text)
        helper.chmod(0o755)
        path = tmp_path / "config.json"
        path.write_text(json.dumps({"credsStore": "bad", "auths": {"ghcr.io": {}}}, indent=3))
        return DockerConfigFile(path)

    return make


@pytest.mark.parametrize(("script", "said"), HELPERS.values(), ids=HELPERS)
def test_a_bad_helper_is_named_and_the_file_stays(
    config: Callable[[str], DockerConfigFile], script: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credential_helper, "SECONDS", 0.5)
    file = config(f"#!/bin/sh\n{script}\n")
    monkeypatch.setenv("PATH", str(file.path.parent / "bin"), prepend=":")
    before = file.path.read_bytes()
    with pytest.raises(HelperMissingError, match=said) as caught:
        file.merge({HOST: LOGIN})
    assert caught.value.where == "docker-credential-bad"
    assert caught.value.remedy
    assert SECRET not in str(caught.value)
    assert file.path.read_bytes() == before


@pytest.mark.parametrize("program", ["oci", "docker"])
def test_a_program_that_answers_in_bytes_has_refused_the_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    (tmp_path / program).write_text(f"#!/bin/sh\nprintf '{SECRET}\\377\\376'\nexit 1\n")
    (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(LoginRefusedError) as caught:
        oci_login(HOST) if program == "oci" else docker_login(HOST, LOGIN, tmp_path)
    assert caught.value.where == HOST
    assert SECRET not in str(caught.value)
    assert caught.value.__context__ is None, "an error of decoding holds all that the program said"


def test_a_helper_for_another_machine_is_named(
    config: Callable[[str], DockerConfigFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = config("\x7fELF not for here")
    monkeypatch.setenv("PATH", str(file.path.parent / "bin"))
    with pytest.raises(HelperMissingError, match="cannot be run"):
        file.credential_for(HOST)


@pytest.mark.parametrize("name", ["a/b", "../x", "", " ", "-x", "a b", "a\nb"])
def test_a_helper_name_that_is_a_path_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"credHelpers": {HOST: name or "/"}}))
    with pytest.raises(DockerConfigError, match="not well formed") as caught:
        DockerConfigFile(path).merge({HOST: LOGIN})
    assert caught.value.remedy


FILES: dict[str, tuple[bytes | None, type[RunbookError], str]] = {
    "empty": (b"", MissingCredentialError, "empty"),
    "only a newline": (b"\r\n", MissingCredentialError, "empty"),
    "carriage return inside": (b"to\rken", MalformedCredentialError, "control character"),
    "two lines": (b"token\n\n", MalformedCredentialError, "control character"),
    "NUL": (b"to\0ken", MalformedCredentialError, "control character"),
    "delete": (b"to\x7fken", MalformedCredentialError, "control character"),
    "escape sequence": (b"\x1b[31mtoken", MalformedCredentialError, "control character"),
    "UTF-16": ("token".encode("utf-16"), MissingCredentialError, "not UTF-8"),
    "a folder": (None, MissingCredentialError, "cannot be read"),
}


@pytest.mark.parametrize(("content", "error", "said"), FILES.values(), ids=FILES)
def test_a_file_that_holds_no_token_is_named(
    tmp_path: Path, content: bytes | None, error: type[RunbookError], said: str
) -> None:
    path = tmp_path / "token"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(error, match=said) as caught:
        CredentialReference.parse(f"file:{path}").resolve()
    assert caught.value.where == f"file:{path}"
    assert caught.value.remedy
    if content and content.strip():
        assert content.decode("latin-1") not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "error"), [("", MissingCredentialError), ("a\nb", MalformedCredentialError)]
)
def test_a_variable_that_holds_no_token_is_named(
    monkeypatch: pytest.MonkeyPatch, value: str, error: type[RunbookError]
) -> None:
    monkeypatch.setenv("TOKEN_OF_TEST", value)
    with pytest.raises(error) as caught:
        CredentialReference.parse("env:TOKEN_OF_TEST").resolve()
    assert caught.value.where == "env:TOKEN_OF_TEST"
    assert caught.value.remedy


def test_a_token_with_colons_and_spaces_is_a_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a:b c:d\n")
    login = Login("ns/u", CredentialReference.parse(f"file:{tmp_path / 'token'}").resolve())
    file = DockerConfigFile(tmp_path / "config.json")
    file.merge({HOST: login})
    assert login.same_as(file.credential_for(HOST))


@pytest.mark.parametrize("content", [b"", b"not a certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n", None])
def test_a_ca_file_without_a_certificate_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.pem"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(RegistryTlsError, match="the CA file cannot be used") as caught:
        RegistryClient("h.example", ca=str(path))
    assert caught.value.where == str(path)
    assert "registry_ca" in caught.value.remedy
