"""Looking after a builder on the sandbox: what is told, and a prune that does what its preview said."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runbook_lib.cluster.pods import exec_in_pod
from runbook_lib.findings import Status
from runbook_lib.journal import Journal
from runbook_lib.plan import Action
from runbook_lib.progress import silent_sink
from runbook_lib.settings import Settings
from runbook_lib.steps.contract import run_dir_of
from runbook_lib.steps.install_pod import InstallPod
from runbook_lib.steps.operate import Operate

pytestmark = pytest.mark.sandbox
_BUILD = (
    "mkdir -p /tmp/c && printf 'FROM scratch\\nCOPY Dockerfile /kept\\n' > /tmp/c/Dockerfile && "
    "buildctl build --frontend dockerfile.v0 --local context=/tmp/c --local dockerfile=/tmp/c"
)


def test_preview_prune_and_proof(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings()
    journal = Journal(run_dir_of(settings))
    InstallPod(settings, journal, silent_sink).apply()
    looking = Operate(settings, journal, silent_sink)
    assert exec_in_pod(looking.cluster, looking._pod, ["sh", "-c", _BUILD], 60.0).code == 0

    told = {f.subject: f for f in looking.check()}
    assert told["buildkitd"].message.startswith("v0.34.2, 1 worker")
    assert "records" in told["cache"].message
    assert all(f.status in (Status.OK, Status.WARN) for f in told.values())
    assert looking.plan().is_empty
    assert [f.status for f in looking.apply()] == [Status.SKIP]

    pruning = Operate(settings.model_copy(update={"prune": True}), journal, silent_sink)
    plan = pruning.plan()
    assert [c.action for c in plan.changes] == [Action.DELETE]
    assert "local source for context" in plan.changes[0].diff
    assert plan.commands[0].endswith("buildctl prune --all")
    before = len(pruning._unused())
    assert f"{before} records removed" in next(iter(pruning.apply())).message
    assert pruning.verify().passed
    assert pruning.plan().is_empty


def test_without_a_builder_it_says_so(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings()
    found = Operate(settings, Journal(run_dir_of(settings)), silent_sink).check()
    assert not found.passed
