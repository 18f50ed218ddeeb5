"""Nothing secret and nothing temporary outlives a process that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from runbook_lib.scratch import scratch_folder, sweep
from sandbox.cluster.kubeconfig import render_kubeconfig
from sandbox.cluster.pki import ensure_pki, pair, subjects

_BINDS = """
import os, signal, sys
from runbook_lib.cluster.binding import Cluster
from runbook_lib.settings_sources import load
cluster = Cluster.bind(load({"kubeconfig": sys.argv[1]}, environ={}))
for path in (cluster.api.configuration.cert_file, cluster.api.configuration.key_file):
    print(open(path).read().splitlines()[0], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_killed_process_leaves_no_private_key_of_its_kubeconfig(tmp_path: Path, temporary: Path) -> None:
    ensure_pki(tmp_path / "pki", subjects("node", "127.0.0.1"))
    kubeconfig = tmp_path / "kubeconfig"
    server, authority = "https://127.0.0.1:1", tmp_path / "pki" / "ca.crt"
    text = render_kubeconfig(server, authority, pair(tmp_path / "pki", "admin"), "here")
    assert "client-key-data" in yaml.safe_load(text)["users"][0]["user"]
    kubeconfig.write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", _BINDS, str(kubeconfig)],
        env={**os.environ, "TMPDIR": str(temporary)},
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert "BEGIN CERTIFICATE" in done.stdout
    assert "PRIVATE KEY" in done.stdout
    assert list(temporary.iterdir()) == []


def test_the_folder_of_a_killed_process_goes_with_the_next(temporary: Path) -> None:
    script = "import os\nfrom runbook_lib.scratch import scratch_folder\n"
    script += "with scratch_folder() as folder:\n    os.kill(os.getpid(), 9)\n"
    env = {**os.environ, "TMPDIR": str(temporary)}
    subprocess.run([sys.executable, "-c", script], env=env, timeout=60)
    assert len(list(temporary.iterdir())) == 1
    with scratch_folder() as folder:
        assert list(temporary.iterdir()) == [folder]
    assert list(temporary.iterdir()) == []


def test_the_folder_of_a_living_process_and_a_young_one_stay(temporary: Path) -> None:
    young = temporary / "buildkit-runbook-young"
    young.mkdir()
    with scratch_folder() as folder:
        sweep()
        assert folder.is_dir()
    assert young.is_dir()
    os.utime(young, (0, 0))
    sweep()
    assert not young.exists()


def test_no_folder_is_swept_while_it_is_being_made(temporary: Path) -> None:
    def make_many(_number: int) -> int:
        made = 0
        for _ in range(100):
            with scratch_folder() as folder:
                (folder / "file").write_text("x")
                made += 1
        return made

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(make_many, range(8))) == [100] * 8
    assert list(temporary.iterdir()) == []
