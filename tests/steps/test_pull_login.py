"""The login with which the cluster pulls a pushed image, without a cluster: which fit a pull Secret."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from runbook_lib.findings import Finding, Findings, Status
from runbook_lib.journal import Journal
from runbook_lib.progress import silent_sink
from runbook_lib.settings_sources import load
from runbook_lib.steps import test_push as module
from runbook_lib.steps.test_push import SAMPLE_OUTPUT, TestPush

HOST = "registry.example"
SECRET = "refresh-token-of-test"
PASSWORD = base64.b64encode(b"jdoe:password-of-test").decode()


@pytest.fixture
def pulls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The documents of the pull Secrets that are written."""
    written: list[dict[str, Any]] = []

    def run_image(_: object, __: object, ___: str, document: dict[str, Any], *____: object) -> str:
        written.append(document)
        return SAMPLE_OUTPUT

    monkeypatch.setattr(module, "run_image", run_image)
    monkeypatch.setattr(module, "prove_push", lambda *_, **__: Findings([Finding(Status.OK, "tag", "there")]))
    monkeypatch.setattr(TestPush, "cluster", object())
    return written


def step(folder: Path, entry: dict[str, str], *, run_image: bool = True) -> TestPush:
    (folder / "config.json").write_text(json.dumps({"auths": {HOST: entry}}))
    given = {"registry": HOST, "repository": "team/app", "docker_config": str(folder), "run_dir": str(folder)}
    made = TestPush(load({**given, "run_image": run_image}, environ={}), Journal(folder), silent_sink)
    made.journal.fact("test_push", pushed_digest="sha256:" + "0" * 64)
    made.journal.fact("test_push", pushed_references=[f"{HOST}/team/app:test.01"])
    return made


def test_an_identity_token_goes_into_no_pull_secret(tmp_path: Path, pulls: list[dict[str, Any]]) -> None:
    *_, ran = step(tmp_path, {"identitytoken": SECRET}).verify()
    assert pulls == []
    assert ran.status is Status.BLOCKED
    assert ran.subject.startswith(f"run of {HOST}/team/app@sha256:")
    assert "identity token" in ran.message
    assert "user name and a token" in ran.remedy
    assert ran.notebook == "02_configure_auth.ipynb"
    assert SECRET not in str(ran)


@pytest.mark.parametrize("run_image", [True, False])
def test_the_check_tells_it_before_the_build(tmp_path: Path, run_image: bool) -> None:
    found = step(tmp_path, {"identitytoken": SECRET}, run_image=run_image).check()
    [login] = [f for f in found if f.subject == f"login for {HOST}"]
    assert login.status is (Status.WARN if run_image else Status.OK)
    assert ("user name and a token" in login.remedy) is run_image


def test_a_user_name_and_token_do(tmp_path: Path, pulls: list[dict[str, Any]]) -> None:
    made = step(tmp_path, {"auth": PASSWORD})
    assert [f.status for f in made.check() if f.subject == f"login for {HOST}"] == [Status.OK]
    *_, ran = made.verify()
    assert ran.status is Status.OK
    assert pulls == [{"auths": {HOST: {"auth": PASSWORD}}}]
