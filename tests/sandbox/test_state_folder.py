"""State that is not as it should be: odd paths, damaged files, a full disk. `reset` is the way out of all."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path

import pytest

from sandbox.cluster.down import down
from sandbox.cluster.host import HostFacts
from sandbox.cluster.layout import Layout, layout_for
from sandbox.cluster.render import render_containerd
from sandbox.console import Reporter

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the sandbox needs root")
NAME = "unit-state"


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """An instance in a folder behind a link, with letters that mountinfo escapes and others."""
    folder = tmp_path / "größe 大\u2028"
    folder.mkdir()
    (tmp_path / "s").symlink_to(folder)
    monkeypatch.setenv("SANDBOX_STATE", str(tmp_path / "s"))
    monkeypatch.setattr("sandbox.cluster.layout._LONGEST_SOCKET", 500)
    made = layout_for(NAME)
    made.root.mkdir()
    return made


def test_reset_finds_mounts_behind_a_link_and_in_a_path_of_any_letters(layout: Layout) -> None:
    point = layout.data / "kubelet" / "vol ume"
    point.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(point)], check=True, timeout=15)
    try:
        assert down(layout, Reporter(), remove_state=True).total() == 0
        assert not point.is_mount()
        assert not layout.root.exists()
    finally:
        subprocess.run(["umount", str(point)], capture_output=True, timeout=15, check=False)


def test_the_runtimes_configuration_takes_any_letters() -> None:
    layout = Layout("unit", Path('/state/größe 大 😀 "q"'))
    text = render_containerd(layout, HostFacts(True, "ext4", False), Path("/b/runc"), Path("/b/cni"))
    assert tomllib.loads(text)["root"] == str(layout.data / "containerd")
