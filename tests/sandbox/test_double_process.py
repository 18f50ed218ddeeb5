"""The double as a process: start, end, being killed, bad configuration, memory and speed."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from double_lab import lab_fixture, login, make_lab

from sandbox.double.admin import Admin
from sandbox.double.config import AdminAddress, load_config
from sandbox.double.errors import AdminError, DoubleError
from sandbox.double.lab import NAMESPACE, OWNER, Lab
from sandbox.double.server import serve

REPOSITORY = f"{NAMESPACE}/process"
lab = lab_fixture


@pytest.fixture
def restarted(lab: Lab) -> Iterator[Lab]:
    """The lab, with its double and distribution running again afterwards."""
    yield lab
    for process, start in (
        (lab.distribution, lab.start_distribution),
        (lab.double, lab.start_double),
    ):
        if process is None or process.poll() is not None:
            start()


def test_sigterm_ends_it_within_a_second_even_with_a_silent_request(restarted: Lab) -> None:
    restarted.admin.add_fault("black_hole", seconds=60)
    with socket.create_connection(("127.0.0.1", restarted.config.listen[0].port)):
        assert restarted.double is not None
        with login(restarted, timeout=0.3) as client, pytest.raises(httpx.ReadTimeout):
            client.http.get("/v2/")
        assert restarted.stop(restarted.double, signal.SIGTERM) < 1
        assert restarted.double.returncode == 0


def test_sigkill_in_the_middle_of_an_upload_leaves_nothing_behind(restarted: Lab) -> None:
    with login(restarted, OWNER) as client:
        assert client.push_image(REPOSITORY, "before")[0].status_code == 201
    restarted.admin.set_switches(refuse_cache_manifests=False)
    number = restarted.admin.add_fault("status", status=503, path="/manifests/never")
    assert [fault["id"] for fault in restarted.admin.faults()] == [number]

    def upload() -> None:
        with login(restarted, OWNER) as client:
            scope = f"repository:{REPOSITORY}:pull,push"
            opened = client.call("POST", f"/v2/{REPOSITORY}/blobs/uploads/", scope)
            headers = {"Authorization": f"Bearer {client.token(scope).json()['token']}"}

            def chunks() -> Iterator[bytes]:
                yield bytes(1_000_000)
                restarted.stop(restarted.double, signal.SIGKILL)
                yield bytes(1_000_000)

            client.http.patch(opened.headers["Location"], headers=headers, content=chunks())

    with pytest.raises(httpx.TransportError):
        upload()
    with pytest.raises(AdminError, match="does not answer"):
        restarted.admin.health()
    restarted.start_double()
    assert restarted.admin.faults() == []
    assert restarted.admin.switches()["refuse_cache_manifests"] is True
    with login(restarted, OWNER) as client:
        assert client.manifest(REPOSITORY, "before").status_code == 200
        assert client.push_image(REPOSITORY, "after")[0].status_code == 201


def test_distribution_gone_is_a_502_that_names_it_and_comes_back(restarted: Lab) -> None:
    restarted.stop(restarted.distribution, signal.SIGKILL)
    with login(restarted, OWNER) as client:
        gone = client.http.get("/v2/")
        assert gone.status_code == 502
        assert restarted.config.upstream in gone.json()["errors"][0]["message"]
        restarted.start_distribution()
        assert client.push_image(REPOSITORY, "again")[0].status_code == 201


def test_an_open_upload_survives_a_restart_of_distribution(restarted: Lab) -> None:
    with login(restarted, OWNER) as client:
        scope = f"repository:{REPOSITORY}:pull,push"
        opened = client.call("POST", f"/v2/{REPOSITORY}/blobs/uploads/", scope)
        restarted.stop(restarted.distribution)
        restarted.start_distribution()
        answer = client.call("PATCH", opened.headers["Location"], scope, content=b"still open")
        assert answer.status_code == 202


def test_a_large_push_and_pull_are_quick_and_memory_stays_flat(lab: Lab) -> None:
    assert lab.double is not None
    content = os.urandom(100 * 1024 * 1024)
    with login(lab, OWNER) as client:
        client.push_image(REPOSITORY, "warm")
        began = time.monotonic()
        pushed, descriptor = client.push_blob(REPOSITORY, content)
        pushing = time.monotonic() - began
        assert pushed.status_code == 201
        began = time.monotonic()
        assert client.blob(REPOSITORY, descriptor.digest).content == content
        pulling = time.monotonic() - began
    resident = psutil.Process(lab.double.pid).memory_info().rss / 2**20
    print(f"push 100 MiB {pushing:.2f} s, pull {pulling:.2f} s, resident {resident:.1f} MiB")
    # Generous to a busy machine; held in memory, the blob alone would be 100 MiB more.
    assert resident < 90
    assert max(pushing, pulling) < 30


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"upstream": "ftp://nowhere"}, "upstream"),
        ({"surprise": 1}, "surprise"),
        ({"users": [{"username": "no-namespace", "auth_token_file": "/x"}]}, "users.0.username"),
        ({"admin": {"host": "10.0.0.1", "port": 1}}, "loopback"),
        ({"tls_key_file": "/nonexistent.key"}, "/nonexistent.key"),
        ({"signing_key_file": "/nonexistent.key"}, "sandbox.double.keys"),
    ],
)
def test_a_bad_configuration_is_named(
    lab: Lab, tmp_path: Path, change: dict[str, object], expected: str
) -> None:
    file = tmp_path / "double.json"
    file.write_text(json.dumps({**json.loads(lab.config.model_dump_json(exclude_none=True)), **change}))
    with pytest.raises(DoubleError, match=re.escape(expected)):
        asyncio.run(serve(load_config(file), asyncio.Event()))


def test_a_port_that_is_taken_is_named(lab: Lab) -> None:
    command = [sys.executable, "-m", "sandbox.double", "--config", str(lab.folder / "double.json")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert ended.returncode == 1
    assert f"127.0.0.1:{lab.config.listen[0].port}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_admin_interface_on_a_unix_socket_survives_a_kill(tmp_path: Path) -> None:
    own = make_lab(tmp_path)
    address = tmp_path / "admin.sock"
    own.config = own.config.model_copy(update={"admin": AdminAddress(socket=address)})
    own.admin = Admin(socket=address)
    try:
        for number in (signal.SIGKILL, signal.SIGTERM):
            own.start_double()
            assert own.double is not None
            assert own.admin.health() == {"status": "ok", "pid": own.double.pid}
            assert address.stat().st_mode & 0o777 == 0o600
            own.stop(own.double, number)
    finally:
        own.close()
