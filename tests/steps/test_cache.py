"""Build cache: registry exports are judged before the build, and a local cache survives the builder."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from builder_world import World, bare_world_fixture, ready_fixture, world_fixture  # noqa: F401 - fixtures

from runbook_lib.errors import BuildFailedError, CacheRefusedError
from runbook_lib.findings import Findings, Status
from runbook_lib.steps.builder_access import builder_of
from runbook_lib.steps.test_push import TestPush
from sandbox.double.admin import Admin

OCIR = {"registry_flavor": "ocir"}


def registry_cache(world: World) -> str:
    return f"type=registry,ref={world.sandbox['registry']}/sandboxns/tests/cache:c,mode=max"


@pytest.mark.parametrize("kind", ["registry", "inline"])
def test_the_guard_refuses_before_the_build(ready: World, registry_admin: Admin, kind: str) -> None:
    export = registry_cache(ready) if kind == "registry" else "type=inline"
    step = ready.step(TestPush, **OCIR, cache_to=[export])
    registry_admin.clear_requests()
    assert [f.status for f in step.check() if "cache" in f.subject] == [Status.FAIL]
    for verb in (step.plan, step.apply):
        with pytest.raises(CacheRefusedError, match="cannot be uploaded to OCIR") as caught:
            verb()
        assert "--export-cache type=local,dest=" in caught.value.remedy
        assert "--import-cache type=local,src=" in caught.value.remedy
        assert "allow_registry_cache" in caught.value.remedy
    assert ready.events == []
    assert registry_admin.requests()["total"] == 0
    assert step.journal.look_up("pushed_digest") is None


def test_the_override_lets_it_through_and_the_registry_has_the_last_word(
    ready: World, registry_admin: Admin
) -> None:
    given: dict[str, Any] = {**OCIR, "cache_to": [registry_cache(ready)], "allow_registry_cache": True}
    with pytest.raises(BuildFailedError, match="the cache export was refused") as caught:
        ready.step(TestPush, **given).apply()
    assert "local_cache" in caught.value.remedy
    with registry_admin.switch(refuse_cache_manifests=False):
        found = ready.step(TestPush, **given).apply()
    assert "let through by allow_registry_cache" in str(found)


def test_another_registry_is_not_held_to_ocirs_rules(ready: World, registry_admin: Admin) -> None:
    registry_admin.set_switches(refuse_cache_manifests=False)
    found = ready.step(TestPush, cache_to=[registry_cache(ready)]).apply()
    assert "is not an OCIR host" in str(found)


def test_the_probe_decides_by_evidence_and_dates_its_verdict(ready: World, registry_admin: Admin) -> None:
    given: dict[str, Any] = {**OCIR, "cache_to": [registry_cache(ready)], "probe_cache": True}
    step = ready.step(TestPush, **given)
    registry_admin.clear_requests()
    assert step.check().passed
    assert not step.plan().is_empty
    assert registry_admin.requests()["total"] == 0, "only apply asks"
    with pytest.raises(CacheRefusedError, match="refused a cache manifest when probed"):
        step.apply()
    refused = step.journal.look_up("cache_verdict")
    assert refused["accepted"] is False
    assert "cacheconfig" in refused["evidence"]
    with registry_admin.switch(refuse_cache_manifests=False):
        step.apply()
    accepted = step.journal.look_up("cache_verdict")
    assert accepted["accepted"] is True
    assert accepted["host"] == ready.sandbox["registry"]
    age = datetime.now(UTC) - datetime.fromisoformat(accepted["date"])
    assert 0 <= age.total_seconds() < 60
    assert step.verify().passed


def test_a_probe_that_finds_nothing_out_leaves_the_guard_in_force(
    ready: World, registry_admin: Admin
) -> None:
    registry_admin.add_fault("status", status=503, method="PUT", path="/manifests/")
    step = ready.step(TestPush, **OCIR, cache_to=[registry_cache(ready)], probe_cache=True)
    with pytest.raises(CacheRefusedError, match="is an OCIR host"):
        step.apply()
    assert step.journal.look_up("cache_verdict")["accepted"] is None


def cached(found: Findings) -> int:
    """How many steps of the build came from a cache."""
    [line] = [f.message for f in found if "steps CACHED" in f.message]
    return int(line.partition("; ")[2].split()[0])


def test_a_local_cache_outlives_the_builder(ready: World, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM busybox\nRUN echo {time.time()} > /a\nRUN cp /a /b\n")
    given: dict[str, Any] = {"context_dir": str(context), "repository": "sandboxns/tests/cached"}
    cache = {"local_cache": str(tmp_path / "cache")}
    first = ready.step(TestPush, **given, **cache)
    assert cached(first.apply()) == 0
    assert (tmp_path / "cache" / "index.json").is_file()
    ready.kubectl("delete", "pod", "buildkitd", "-n", ready.namespace, "--grace-period=0", "--force")
    ready.install()
    second = ready.step(TestPush, **given, **cache)
    assert cached(second.apply()) == 2
    assert second.verify().passed
    assert second.journal.look_up("pushed_digest") == first.journal.look_up("pushed_digest")
    builder, _, _ = builder_of(second.settings, second.cluster, second.journal)
    assert builder.run("prune", "--all").code == 0
    assert cached(ready.step(TestPush, **given).apply()) == 0


def test_a_broken_local_cache_is_written_anew(ready: World, tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text("{ cut")
    ready.step(TestPush, local_cache=str(tmp_path)).apply()
    assert "type=local,src=" in " ".join(ready.step(TestPush, local_cache=str(tmp_path)).plan().commands)
