"""Instruction mode on a bare cluster: every step's commands are printed, and they work when typed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from builder_world import World, bare_world_fixture  # noqa: F401 - fixture

from runbook_lib.builder.kubectl_release import lines_of
from runbook_lib.builder.store import Store
from runbook_lib.steps.configure_auth import ConfigureAuth
from runbook_lib.steps.contract import REPOSITORY_ROOT
from runbook_lib.steps.fetch_buildctl import FetchBuildctl
from runbook_lib.steps.install_pod import InstallPod
from runbook_lib.steps.push_request import client_of
from runbook_lib.steps.test_push import TestPush


def printed_plan(world: World, tmp_path: Path, **more: object) -> str:
    """What `run --plan` prints for the four steps; it must end well and change nothing."""
    settings = world.settings(docker_config=str(tmp_path / "docker"), bin_dir=str(tmp_path / "bin"), **more)
    profile = tmp_path / "profile.yaml"
    profile.write_text(yaml.safe_dump(settings.model_dump(exclude_defaults=True)))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RUNBOOK_")}
    done = subprocess.run(
        [sys.executable, "-m", "runbook_lib", "run", "--plan", "--profile", str(profile)],
        env=environment, cwd=REPOSITORY_ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "docker").exists()
    assert not (tmp_path / "bin").exists()
    return done.stdout


def commands_of(printed: str) -> str:
    """The shell lines of every step, as a person would copy them."""
    blocks = re.findall(
        r"^by hand, the same is:\n(.*?)(?=^\[\d/\d\]|^  this may change|\Z)",
        printed,
        re.MULTILINE | re.DOTALL,
    )
    assert len(blocks) == 4, printed
    return "\n".join(blocks)


def test_the_printed_commands_build_and_push_when_typed(bare_world: World, tmp_path: Path) -> None:
    printed = printed_plan(bare_world, tmp_path, tags=["typed.01"])
    assert "no plan can be made" not in printed
    assert bare_world.kubectl("get", "pods", "-n", bare_world.namespace, "-o", "name") == ""
    reference = bare_world.settings().registry_credential
    secret = Path(reference.removeprefix("file:")).read_text().strip()
    assert secret not in printed
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands_of(printed)],
        # Nothing of the runbook's is in this environment: PATH and KUBECONFIG come from the commands.
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        cwd=REPOSITORY_ROOT, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "docker" / "config.json").stat().st_mode & 0o777 == 0o600
    settings = bare_world.settings(docker_config=str(tmp_path / "docker"))
    with client_of(settings, settings.registry) as client:
        served = client.manifest("sandboxns/buildkit-runbook/hello", "typed.01")
    assert served.digest.startswith("sha256:")


def test_a_plan_made_after_the_fetch_finds_what_is_in_the_store(bare_world: World, tmp_path: Path) -> None:
    """The journal of a plan is a new one: the store alone knows the binary."""
    bins = {"bin_dir": str(tmp_path / "bin"), "docker_config": str(tmp_path / "docker")}
    bare_world.step(FetchBuildctl, **bins).apply()
    bare_world.step(ConfigureAuth, **bins).apply()
    step = bare_world.step(TestPush, **bins)
    assert step.journal.look_up("buildctl_path") is None
    assert step.check().passed
    assert str(tmp_path / "bin" / "v0.34.2") in "\n".join(step.plan().commands)


def planned(world: World, **parameters: object) -> str:
    """The commands of all four steps' plans, made in this process."""
    steps = (InstallPod, ConfigureAuth, FetchBuildctl, TestPush)
    return "\n".join(line for kind in steps for line in world.step(kind, **parameters).plan().commands)


def test_a_deployments_plan_asks_for_its_pods_name(bare_world: World) -> None:
    lines = planned(bare_world, kind="deployment", name="elsewhere")
    assert "rollout status deployment/elsewhere" in lines
    assert "exec deployment/elsewhere --container=buildkitd -- cat /usr/bin/buildctl" in lines
    assert "POD=$(kubectl" in lines
    assert '"kube-pod://$POD?context=' in lines


def test_kubectl_is_fetched_first_where_there_is_none(
    bare_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    lines = planned(bare_world, kubectl="", name="elsewhere")
    settings = bare_world.settings(kubectl="")
    wanted = lines_of(settings, Store(settings), "v1.37.2")
    assert lines.index(wanted[1]) < lines.index("kubectl --context")
