"""The list of possible targets, against the sandbox and against a cluster that is not there."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml

from runbook_lib.errors import ContextNotFoundError
from runbook_lib.settings import Settings
from runbook_lib.steps.survey import survey


@pytest.mark.sandbox
def test_reachable_and_unreachable_contexts_side_by_side(
    make_settings: Callable[..., Settings], sandbox_env: dict[str, str], tmp_path: Path
) -> None:
    document = yaml.safe_load(Path(sandbox_env["kubeconfig"]).read_text())
    document["clusters"].append({"name": "gone", "cluster": {"server": "https://127.0.0.1:9"}})
    user = document["contexts"][0]["context"]["user"]
    document["contexts"].append({"name": "gone", "context": {"cluster": "gone", "user": user}})
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    here, gone = survey(make_settings(kubeconfig=str(path)))
    assert here.problem == ""
    assert here.version.startswith("v1.")
    assert here.nodes == 1
    assert here.runtimes[0].startswith("containerd ")
    assert gone.problem
    assert gone.version == ""


def test_no_kubeconfig_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(ContextNotFoundError):
        survey(Settings())


def test_logins_that_hang_are_given_up_together_and_their_programs_end(tmp_path: Path) -> None:
    how = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}
    plugin = tmp_path / "plugin"
    plugin.write_text(f"#!/bin/sh\necho $$ >>{tmp_path}/pids\nexec sleep 97\n")
    plugin.chmod(0o755)
    names = ["one", "two", "three"]
    document = {
        "contexts": [{"name": n, "context": {"cluster": "c", "user": n}} for n in names],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:9"}}],
        "users": [{"name": n, "user": {"exec": {**how, "command": str(plugin)}}} for n in names],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    begun = time.monotonic()
    found = survey(Settings(kubeconfig=str(path)))
    assert time.monotonic() - begun < 25
    assert ["did not answer within 5 s" in one.problem for one in found] == [True] * 3
    started = (tmp_path / "pids").read_text().split()
    assert len(started) == 3
    for pid in started:
        with contextlib.suppress(psutil.NoSuchProcess):
            assert psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE
