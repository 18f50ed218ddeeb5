"""A login is removed from the file that the runbook wrote it to, and from no other."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from runbook_lib.cluster import removal
from runbook_lib.findings import Status
from runbook_lib.journal import Journal
from runbook_lib.progress import silent_sink
from runbook_lib.settings_sources import load
from runbook_lib.steps.clean_up import CleanUp
from runbook_lib.steps.configure_auth import ConfigureAuth
from runbook_lib.steps.written_logins import remember, written_logins

USERS = {"auths": {"one.example": {"auth": "dXNlcnM6b3du"}}}


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    monkeypatch.setenv("TOKEN_OF_TEST", "an-auth-token")
    for name in ("plan_removal", "targets", "remove"):
        monkeypatch.setattr(removal, name, lambda *_: [])
    return Journal(tmp_path / "runs" / "this")


def _configure(journal: Journal, folder: Path, registry: str) -> None:
    values = {
        "registry": registry,
        "registry_username": "user",
        "registry_credential": "env:TOKEN_OF_TEST",
        "docker_config": str(folder),
    }
    ConfigureAuth(load(values, environ={}), journal, silent_sink).apply()


def _clean_up(journal: Journal, folder: Path) -> CleanUp:
    step = CleanUp(
        load({"docker_config": str(folder), "remove_login": True}, environ={}), journal, silent_sink
    )
    vars(step)["cluster"] = SimpleNamespace(namespace="ns", context="there")
    return step


def _auths(folder: Path) -> set[str]:
    return set(json.loads((folder / "config.json").read_text()).get("auths", {}))


def test_a_changed_docker_config_keeps_the_logins_of_its_files_apart(
    journal: Journal, tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    _configure(journal, old, "one.example")
    new.mkdir()
    (new / "config.json").write_text(json.dumps(USERS))
    _configure(journal, new, "two.example")
    journal.trim(most=0)

    step = _clean_up(journal, new)
    assert "one.example" not in str(step.plan())
    step.apply()
    assert json.loads((new / "config.json").read_text()) == USERS
    [left] = step.verify()
    assert (left.status, left.subject) == (Status.SKIP, str(old / "config.json"))
    assert f"set docker_config to {old}" in left.message

    step = _clean_up(journal, old)
    step.apply()
    assert _auths(old) == set()
    assert "nothing of the runbook's is left" in str(step.verify())


@pytest.mark.parametrize("trimmed", [False, True])
def test_older_journals_are_read(journal: Journal, tmp_path: Path, trimmed: bool) -> None:
    """They name the file beside all hosts so far."""
    old, new = str(tmp_path / "old"), str(tmp_path / "new")
    journal.fact("configure_auth", docker_config_path=old, logins=["one.example"])
    journal.fact("configure_auth", docker_config_path=old, logins=["one.example", "two.example"])
    if trimmed:
        journal.trim(most=0)
    assert written_logins(journal) == {old: ["one.example", "two.example"]}
    journal.fact("configure_auth", docker_config_path=new, logins=["one.example", "two.example", "x.example"])
    assert written_logins(journal) == {old: ["one.example", "two.example"], new: ["x.example"]}
    remember(journal, "configure_auth", Path(new), ["y.example"])
    known = {old: ["one.example", "two.example"], new: ["x.example", "y.example"]}
    assert written_logins(journal) == known
    journal.trim(most=0)
    assert written_logins(journal) == known
