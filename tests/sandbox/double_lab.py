"""The double and its distribution for the tests: `lab = lab_fixture` in a test file gives it its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from sandbox.build import ensure_tool
from sandbox.double.lab import Lab
from sandbox.double.lab_client import Client


def registry_program() -> Path:
    program = os.environ.get("SANDBOX_REGISTRY_BINARY")
    return Path(program) if program else ensure_tool("registry")["registry"]


def make_lab(folder: Path) -> Lab:
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1", "127.0.0.2", "localhost")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    leaf.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    leaf.private_key_pem.write_to_path(folder / "tls.key")
    return Lab(folder, registry_program(), folder / "tls.crt", folder / "tls.key")


@pytest.fixture(scope="module", name="lab")
def lab_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with make_lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


def login(
    lab: Lab, username: str = "", password: str | None = None, host: str = "", timeout: float = 30
) -> Client:
    secret = lab.passwords.get(username, "") if password is None else password
    return Client(host or lab.host, str(lab.folder / "ca.pem"), username, secret, timeout)
