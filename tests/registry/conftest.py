"""A real registry behind the OCIR double, over TLS, for this folder's tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from runbook_lib.credentials import SecretValue
from runbook_lib.registry.client import RegistryClient
from runbook_lib.registry.logins import Login
from sandbox.build import ensure_tool
from sandbox.double.lab import OWNER, Lab

MakeClient = Callable[..., RegistryClient]


def start_lab(folder: Path) -> Lab:
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1", "127.0.0.2")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    leaf.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    leaf.private_key_pem.write_to_path(folder / "tls.key")
    program = os.environ.get("SANDBOX_REGISTRY_BINARY") or ensure_tool("registry")["registry"]
    return Lab(folder, Path(program), folder / "tls.crt", folder / "tls.key")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with start_lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture
def client(lab: Lab) -> Iterator[MakeClient]:
    """Makes clients of the lab: by default the owner's, with the right CA."""
    made: list[RegistryClient] = []

    def make(username: str = OWNER, password: str | None = None, timeout: float = 5.0) -> RegistryClient:
        secret = lab.passwords.get(username, "") if password is None else password
        login = Login(username, SecretValue(secret)) if username else None
        made.append(RegistryClient(lab.host, login, str(lab.folder / "ca.pem"), timeout))
        return made[-1]

    yield make
    lab.admin.clear_faults()
    for one in made:
        one.close()
