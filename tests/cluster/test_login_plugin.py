"""A login plugin that hangs: it is given up in time and ended with all that it has started, nobody else."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from runbook_lib.cluster.binding import Cluster
from runbook_lib.errors import ClusterAuthError
from runbook_lib.settings_sources import load

V1 = "client.authentication.k8s.io/v1"
# A child of its session, one with an empty environment, and one whose parent has ended; none minds SIGTERM.
HANGS = """trap '' TERM
echo $$ >>pids
sleep 97 & echo $! >>pids
env -i sleep 97 & echo $! >>pids
(setsid sleep 97 & echo $! >>pids)
sleep 97
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for process in _left(tmp_path):  # of a test that failed
        process.kill()


def _left(folder: Path) -> list[psutil.Process]:
    """Which of the processes that the plugin has noted still run."""
    found = []
    for pid in (folder / "pids").read_text().split():
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(int(pid))
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _answer(token: str, **more: str) -> str:
    """A shell command that logs in."""
    answer = {"apiVersion": V1, "kind": "ExecCredential", "status": {"token": token, **more}}
    quoted = json.dumps(answer).replace('"', r"\"")
    return f'echo "{quoted}"'


def _bind(folder: Path, body: str, plugin_seconds: float) -> Cluster:
    program = folder / "plugin"
    program.write_text(f"#!/bin/sh\ncd {folder}\n{body}")
    program.chmod(0o755)
    plugin = {"apiVersion": V1, "command": str(program), "interactiveMode": "Never"}
    document = {
        "current-context": "there",
        "contexts": [{"name": "there", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"exec": {**plugin, "env": [{"name": "OF_USER", "value": "kept"}]}}}],
    }
    (folder / "kubeconfig").write_text(json.dumps(document))
    return Cluster.bind(load({"kubeconfig": str(folder / "kubeconfig")}, environ={}), plugin_seconds)


def test_it_is_ended_with_all_that_it_has_started_and_nobody_else(folder: Path) -> None:
    with subprocess.Popen(["/bin/sleep", "97"]) as bystander:
        begun = time.monotonic()
        with pytest.raises(ClusterAuthError, match="did not answer within 1 s") as caught:
            _bind(folder, HANGS, 1)
        assert time.monotonic() - begun < 20
        assert caught.value.where == "context there"
        assert len((folder / "pids").read_text().split()) == 4
        assert _left(folder) == []
        assert bystander.poll() is None
        bystander.kill()


def test_it_is_ended_too_where_it_hangs_when_the_token_is_renewed(folder: Path) -> None:
    answer = _answer("$OF_USER", expirationTimestamp="2020-01-01T00:00:00Z")
    cluster = _bind(folder, f"if mkdir once; then {answer}; exit; fi\necho $$ >>pids; exec sleep 97\n", 1)
    for _ in range(2):
        (folder / "pids").unlink(missing_ok=True)
        begun = time.monotonic()
        headers: dict[str, str] = {}
        cluster.api.update_params_for_auth(headers, [], ["BearerToken"], cluster.server, "GET", None)
        assert time.monotonic() - begun < 20
        assert list(headers.values()) == ["Bearer kept"]
        assert _left(folder) == []


def test_what_a_plugin_that_answers_leaves_running_is_its_own_matter(folder: Path) -> None:
    body = "sleep 97 >/dev/null 2>&1 & echo $! >>pids\necho no token >&2\nexit 1\n"
    with pytest.raises(ClusterAuthError, match="gave no token"):
        _bind(folder, body, 20)
    assert len(_left(folder)) == 1


def test_a_login_beside_it_goes_on(folder: Path) -> None:
    (folder / "slow").mkdir()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(_bind, folder / "slow", f"echo $$ >>pids; sleep 4; {_answer('late')}\n", 60)
        while not (folder / "slow" / "pids").exists():
            time.sleep(0.05)
        with pytest.raises(ClusterAuthError, match="did not answer"):
            _bind(folder, HANGS, 1)
        assert slow.result().api.configuration.api_key == {"BearerToken": "Bearer late"}
