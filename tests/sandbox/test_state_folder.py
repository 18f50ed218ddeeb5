"""State that is not as it should be: odd paths, damaged files, a full disk. `reset` is the way out of all."""

from __future__ import annotations

import errno
import os
import subprocess
import tomllib
from pathlib import Path

import pytest

from sandbox.__main__ import main
from sandbox.cluster import mounts, traces
from sandbox.cluster.down import down
from sandbox.cluster.host import HostFacts
from sandbox.cluster.identity import choose_identity, load_identity
from sandbox.cluster.layout import CNI_FILE, Layout, layout_for
from sandbox.cluster.network import bridge_exists, ensure_bridge, remove_bridge
from sandbox.cluster.render import render_containerd
from sandbox.cluster.traces import remove_plugin_folder
from sandbox.cluster.up import up
from sandbox.console import Reporter
from sandbox.errors import LeftoverError, PlatformError, StateError

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


def test_letters_that_the_kubelet_refuses_are_refused_before_anything_starts(layout: Layout) -> None:
    with pytest.raises(PlatformError, match="SANDBOX_STATE"):
        up(layout, Reporter())
    assert list(layout.root.iterdir()) == []


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


def test_a_full_disk_is_told(
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


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kubelet's folder for device plugins, with the socket that a killed kubelet leaves; none runs."""
    folder = tmp_path / "kubelet" / "device-plugins"
    folder.mkdir(parents=True)
    (folder / "kubelet.sock").touch()
    monkeypatch.setattr(traces, "_DEVICE_PLUGINS", folder)
    monkeypatch.setattr(traces, "_KUBELET", "unit-kubelet")
    return folder


def test_down_removes_the_kubelets_folder_for_device_plugins(layout: Layout, plugins: Path) -> None:
    down(layout, Reporter())
    assert not plugins.parent.exists()
    down(layout, Reporter())  # nothing is there


def test_a_kubelet_that_runs_keeps_its_folder(plugins: Path, tmp_path: Path) -> None:
    program = tmp_path / "unit-kubelet"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "30"]) as kubelet:
        remove_plugin_folder()
        kubelet.kill()
    assert (plugins / "kubelet.sock").exists()


@pytest.mark.parametrize("name", ["device-plugins/kubelet_internal_checkpoint", "config.yaml"])
def test_what_another_kubelet_keeps_there_stays(name: str, plugins: Path) -> None:
    (plugins.parent / name).touch()
    remove_plugin_folder()
    assert (plugins.parent / name).exists()
