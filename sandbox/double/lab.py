"""A double with its own distribution in one folder, as processes, for tests and measurements.

with Lab(folder, registry_program, certificate, key) as lab:
    lab.admin.set_switches(repository_must_exist=True)
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import httpx

from sandbox.double.admin import Admin
from sandbox.double.config import Address, AdminAddress, DoubleConfig, Rights, User
from sandbox.double.distribution import DISTRIBUTION_ENVIRONMENT, write_distribution_config
from sandbox.double.errors import AdminError, DoubleError
from sandbox.double.files import replace_file
from sandbox.double.keys import ensure_signing_files

NAMESPACE = "labns"
OWNER = f"{NAMESPACE}/jdoe"
FEDERATED = f"{NAMESPACE}/oracleidentitycloudservice/jdoe@acme.com"
READER = f"{NAMESPACE}/reader"
NEWCOMER = f"{NAMESPACE}/newcomer"
SEEDER = f"{NAMESPACE}/seeder"
_START_SECONDS = 15.0


class LabError(DoubleError):
    """A process of the lab did not start or stop in time."""


def free_port() -> int:
    """A TCP port that was free a moment ago on 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Lab:
    """Two processes and their files; `passwords` maps each username to its auth token (secret)."""

    def __init__(
        self, folder: Path, registry: Path, certificate: Path, key: Path, *, token_lifetime: int = 300
    ) -> None:
        self.folder, self._registry = folder, registry
        self.passwords = {
            name: secrets.token_urlsafe(24) for name in (OWNER, FEDERATED, READER, NEWCOMER, SEEDER)
        }
        signing = ensure_signing_files(folder / "keys")
        port = free_port()
        own = (f"{NAMESPACE}/*",)
        self.config = DoubleConfig(
            listen=(Address(host="127.0.0.1", port=port), Address(host="127.0.0.2", port=port)),
            tls_certificate_file=certificate,
            tls_key_file=key,
            upstream=f"http://127.0.0.1:{free_port()}",
            signing_key_file=signing.key,
            signing_certificate_file=signing.certificate,
            public_host=f"127.0.0.1:{port}",
            users=(
                self._user(OWNER),
                self._user(FEDERATED),
                self._user(READER, rights=Rights(pull=own)),
                self._user(NEWCOMER, creates=False),
                self._user(SEEDER, rights=Rights(pull=("*",), push=("*",), delete=("*",))),
            ),
            admin=AdminAddress(port=free_port()),
            token_lifetime=token_lifetime,
        )
        self.admin = Admin(f"http://127.0.0.1:{self.config.admin.port}")
        self.host = self.config.public_host
        self.second_host = f"127.0.0.2:{port}"
        self.log_file, self.registry_log_file = folder / "double.log", folder / "registry.log"
        self.double: subprocess.Popen[bytes] | None = None
        self.distribution: subprocess.Popen[bytes] | None = None

    def _user(self, name: str, rights: Rights | None = None, *, creates: bool = True) -> User:
        token_file = self.folder / "tokens" / name.replace("/", "_")
        replace_file(token_file, self.passwords[name].encode() + b"\n")
        return User(username=name, auth_token_file=token_file, rights=rights, can_create_repositories=creates)

    def __enter__(self) -> Self:
        try:
            self.start_distribution()
            self.start_double()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End both processes and the admin client."""
        self.stop(self.double)
        self.stop(self.distribution)
        self.admin.close()

    def start_distribution(self) -> None:
        """Start distribution and wait until it answers. Raises LabError with the end of its log."""
        settings = self.folder / "distribution.yml"
        write_distribution_config(self.config, self.folder / "storage", settings)
        command = [str(self._registry), "serve", str(settings)]
        self.distribution = self._spawn(command, self.registry_log_file)
        with httpx.Client(trust_env=False, timeout=1) as client:
            self._await(
                self.distribution, self.registry_log_file, lambda: client.get(f"{self.config.upstream}/v2/")
            )

    def start_double(self) -> None:
        """Start the double and wait until its admin interface answers. Raises LabError with its log's end."""
        settings = self.folder / "double.json"
        replace_file(settings, self.config.model_dump_json(exclude_none=True).encode())
        command = [sys.executable, "-m", "sandbox.double", "--config", str(settings)]
        self.double = self._spawn(command, self.log_file)
        self._await(self.double, self.log_file, self.admin.health)

    def stop(self, process: subprocess.Popen[bytes] | None, number: int = signal.SIGTERM) -> float:
        """Signal a process of the lab and return the seconds it took to end; killed after five."""
        if process is None or process.poll() is not None:
            return 0.0
        began = time.monotonic()
        process.send_signal(number)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
        return time.monotonic() - began

    def _spawn(self, command: list[str], log: Path) -> subprocess.Popen[bytes]:
        root = Path(__file__).parents[2]
        environment = {**os.environ, **DISTRIBUTION_ENVIRONMENT, "PYTHONPATH": str(root)}
        with log.open("ab") as stream:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=environment
            )

    def _await(self, process: subprocess.Popen[bytes], log: Path, probe: Callable[[], object]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            try:
                probe()
            except (httpx.HTTPError, AdminError):
                time.sleep(0.05)
            else:
                return
        state = f"ended with {process.returncode}" if process.poll() is not None else "is silent"
        tail = log.read_text(errors="replace")[-2000:]
        raise LabError(f"a process of the lab {state}", f"{process.args!r}", f"Its log ends:\n{tail}")
