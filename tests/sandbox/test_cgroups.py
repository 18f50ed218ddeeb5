"""Control groups: what the kernel lets a container's root pass on, and whose groups `down` may touch."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandbox.cluster import cgroups
from sandbox.cluster.cgroups import (
    ensure_controllers,
    groups_of,
    processes_in,
    remove_ended_builds,
    remove_groups,
    remove_parents,
)
from sandbox.console import Reporter
from sandbox.errors import PlatformError

_THREADED = frozenset({"cpu", "cpuset", "pids"})


class Kernel:
    """A cgroup v2 root as a container sees it, with cgroups(7)'s rules on processes and threads."""

    def __init__(self, root: Path, controllers: str = "cpu io memory pids") -> None:
        self.root = root
        root.joinpath("cgroup.type").write_text("domain\n")
        root.joinpath("cgroup.controllers").write_text(f"{controllers}\n")
        self.set("cgroup.subtree_control", set())
        self.set("cgroup.procs", {"1", "77"})

    def get(self, name: str) -> set[str]:
        return set((self.root / name).read_text().split())

    def set(self, name: str, words: set[str]) -> None:
        (self.root / name).write_text(" ".join(sorted(words)))

    def write(self, name: str, text: str) -> None:
        if name == "cgroup.subtree_control":
            self._switch(text[0], text[1:])
        elif not self.get("cgroup.subtree_control"):  # else the child is "domain invalid"
            self.set("cgroup.procs", self.get("cgroup.procs") - {text})

    def _switch(self, sign: str, controller: str) -> None:
        if sign == "+" and self.get("cgroup.procs") and controller not in _THREADED:
            return
        words = self.get("cgroup.subtree_control")
        self.set("cgroup.subtree_control", words | {controller} if sign == "+" else words - {controller})


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel(tmp_path)
    monkeypatch.setattr(cgroups, "_ROOT", tmp_path)
    monkeypatch.setattr(cgroups, "_write", made.write)
    return made


@pytest.mark.parametrize("on_before", [set(), {"cpu"}])
def test_a_containers_root_passes_controllers_on_after_its_processes_moved_aloud(
    kernel: Kernel, on_before: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    kernel.set("cgroup.subtree_control", on_before)
    ensure_controllers(Reporter())
    assert kernel.get("cgroup.procs") == set()
    assert kernel.get("cgroup.subtree_control") == {"cpu", "io", "memory", "pids"}
    assert "/init" in capsys.readouterr().err


def test_a_root_that_passes_them_on_already_keeps_its_processes(kernel: Kernel) -> None:
    kernel.set("cgroup.subtree_control", {"cpu", "memory"})
    ensure_controllers(Reporter())
    assert kernel.get("cgroup.procs") == {"1", "77"}


def test_the_kernels_own_root_is_left_to_the_runtime(kernel: Kernel) -> None:
    kernel.root.joinpath("cgroup.type").unlink()
    ensure_controllers(Reporter())
    assert kernel.get("cgroup.procs") == {"1", "77"}
    assert kernel.get("cgroup.subtree_control") == set()


def test_a_controller_that_is_not_there_is_named(kernel: Kernel) -> None:
    kernel.root.joinpath("cgroup.controllers").write_text("cpu pids\n")
    with pytest.raises(PlatformError, match="memory"):
        ensure_controllers(Reporter())


def test_a_root_that_cannot_be_written_is_named(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "_write", lambda *_: None)
    with pytest.raises(PlatformError, match="cpu, memory"):
        ensure_controllers(Reporter())


def test_cgroup_v1_has_nothing_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "_ROOT", tmp_path)
    ensure_controllers(Reporter())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("hierarchies", [[""], ["cpu", "memory"]], ids=["v2", "v1"])
def test_down_removes_the_groups_of_its_own_containers_only(
    hierarchies: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "_ROOT", tmp_path)
    for base in hierarchies:
        for group in ("k8s.io/mine/buildkit/step", "k8s.io/others"):
            (tmp_path / base / group).mkdir(parents=True)
    found = groups_of({"mine"})
    assert found[0].name == "step"
    assert len(found) == 3 * len(hierarchies)
    assert processes_in(found) == set()
    assert remove_groups({"mine"})
    remove_parents()
    assert all((tmp_path / base / "k8s.io/others").is_dir() for base in hierarchies)
    assert remove_groups({"others"})
    remove_parents()
    assert not any((tmp_path / base / "k8s.io").exists() for base in hierarchies)


def test_down_removes_the_groups_of_killed_builds_but_not_of_running_or_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "_ROOT", tmp_path)
    builds = tmp_path / "buildkit"
    killed, running, new = (builds / name for name in ("killed", "running", "new"))
    for group in (killed, running, new):
        group.mkdir(parents=True)
    (running / "cgroup.procs").touch()  # rmdir fails on it, as on a group with processes
    for group in (killed, running):
        os.utime(group, (0, 0))
    assert not remove_ended_builds()
    assert set(builds.iterdir()) == {running, new}
    os.utime(new, (0, 0))
    assert remove_ended_builds()
    assert set(builds.iterdir()) == {running}


def test_what_held_the_groups_of_builds_goes_with_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "_ROOT", tmp_path)
    assert remove_ended_builds()
    (tmp_path / "buildkit").mkdir()
    assert remove_ended_builds()
    assert list(tmp_path.iterdir()) == []
