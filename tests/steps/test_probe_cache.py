"""probe_cache through all verbs, without a cluster: check and plan leave the question open, apply asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runbook_lib.errors import CacheRefusedError, ContextNotFoundError
from runbook_lib.findings import Status
from runbook_lib.journal import Journal
from runbook_lib.progress import silent_sink
from runbook_lib.registry.cache_probe import Verdict
from runbook_lib.settings_sources import load
from runbook_lib.steps import push_request
from runbook_lib.steps.test_push import TestPush

EXPORT = "type=registry,ref=iad.ocir.io/ns/cache:c,mode=max"


class Registry:
    """What the registry answers to a probe, and how often it was asked."""

    answer: bool | None = True
    asked = 0

    def probe(self, *_: object) -> Verdict:
        self.asked += 1
        return Verdict(self.answer, "made up", "2026-01-01T00:00:00+00:00")


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    made = Registry()
    monkeypatch.setattr(push_request, "probe", made.probe)
    return made


def step(folder: Path, **more: Any) -> TestPush:  # noqa: ANN401
    """Without a cluster: what comes behind the guard ends in ContextNotFoundError."""
    values = {
        "kubeconfig": str(folder / "none"),
        "run_dir": str(folder),
        "docker_config": str(folder),
        "registry": "iad.ocir.io",
        "repository": "ns/hello",
        "cache_to": [EXPORT],
    }
    return TestPush(load({**values, **more}, environ={}), Journal(folder), silent_sink)


def test_check_and_plan_pass_and_apply_asks(tmp_path: Path, registry: Registry) -> None:
    asking = step(tmp_path, probe_cache=True)
    [found] = [f for f in asking.check() if "cache" in f.subject]
    assert found.status is Status.WARN
    assert found.message == "iad.ocir.io is asked before the build (probe_cache)"
    with pytest.raises(ContextNotFoundError):
        asking.plan()
    assert registry.asked == 0, "check and plan only read"
    with pytest.raises(ContextNotFoundError):
        asking.apply()
    assert registry.asked == 1
    assert asking.journal.look_up("cache_verdict")["accepted"] is True


@pytest.mark.parametrize(("answer", "said"), [(False, "when probed"), (None, "is an OCIR host")])
def test_without_a_yes_nothing_is_built(
    tmp_path: Path, registry: Registry, answer: bool | None, said: str
) -> None:
    registry.answer = answer
    with pytest.raises(CacheRefusedError, match=said):
        step(tmp_path, probe_cache=True).apply()
    assert registry.asked == 1


@pytest.mark.parametrize(
    "more",
    [
        {"probe_cache": False},
        {"probe_cache": True, "cache_to": ["type=inline"]},
        {"probe_cache": True, "cache_to": ["type=registry,ref=fra.ocir.io/ns/cache:c"]},
    ],
)
def test_what_a_probe_cannot_answer_is_refused_by_every_verb(
    tmp_path: Path, registry: Registry, more: dict[str, Any]
) -> None:
    refused = step(tmp_path, **more)
    assert [f.status for f in refused.check() if "cache" in f.subject] == [Status.FAIL]
    for verb in (refused.plan, refused.apply):
        with pytest.raises(CacheRefusedError):
            verb()
    assert registry.asked == 0
