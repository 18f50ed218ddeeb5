"""The list of possible targets, against the sandbox and against a cluster that is not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
