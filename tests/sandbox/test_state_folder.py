"""State that is not as it should be: odd paths, damaged files, a full disk. `reset` is the way out of all."""

from __future__ import annotations

import errno
import os
import subprocess
import tomllib
from pathlib import Path

import pytest

from sandbox.__main__ import main
from sandbox.cluster import mounts
from sandbox.cluster.down import down
from sandbox.cluster.host import HostFacts
from sandbox.cluster.identity import choose_identity, load_identity
from sandbox.cluster.layout import CNI_FILE, Layout, layout_for
from sandbox.cluster.network import bridge_exists, ensure_bridge, remove_bridge
from sandbox.cluster.render import render_containerd
from sandbox.console import Reporter
from sandbox.errors import LeftoverError, StateError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the sandbox needs root")
NAME, BRIDGE = "unit-state", "sbxtest3"


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


def damage(layout: Layout) -> None:
    layout.identity.write_text('{"network": ')
    (layout.config / CNI_FILE).parent.mkdir(parents=True)
    (layout.config / CNI_FILE).write_text(f'{{"name": "{BRIDGE}"}}')


def test_reset_is_the_way_out_of_a_damaged_identity(layout: Layout) -> None:
    damage(layout)
    with pytest.raises(StateError, match="sandbox reset"):
        down(layout, Reporter())
    ensure_bridge(BRIDGE, "10.245.251.1")
    try:
        down(layout, Reporter(), remove_state=True)
        assert not layout.root.exists()
        assert not bridge_exists(BRIDGE)
    finally:
        remove_bridge(BRIDGE)


def test_neighbours_are_not_stopped_by_a_damaged_identity_or_a_copied_folder(layout: Layout) -> None:
    damage(layout)
    copy = layout.root.with_name(f"{NAME}.before")
    copy.mkdir()
    (copy / "identity.json").write_text("{}")
    other = layout_for("unit-other")
    assert choose_identity(other, Reporter()) == load_identity(other)


def test_a_folder_that_cannot_be_removed_is_an_error_with_a_way_out(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = layout.run / "mounted"
    point.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(point)], check=True, timeout=15)
    try:
        monkeypatch.setattr(mounts, "_TABLE", Path("/proc/self/limits"))  # none of its lines names the folder
        with pytest.raises(LeftoverError, match="could not be removed"):
            down(layout, Reporter())
    finally:
        subprocess.run(["umount", str(point)], capture_output=True, timeout=15, check=False)


def test_a_full_disk_is_an_error_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SANDBOX_STATE", str(tmp_path))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/some/file")

    monkeypatch.setattr("sandbox.cluster.up.prepare", full)
    assert main(["up", "--instance", NAME]) == 1
    said = capsys.readouterr().err
    assert "No space left on device: /some/file" in said
    assert "remedy: " in said
