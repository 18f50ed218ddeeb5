"""The whole runbook by one command: first run, second run, clean-up; and where the secret is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from canaries import ArgvWatch, forms_of, hits, stray
from e2e_support import Runbook
from on_sandbox import run_kubectl

from runbook_lib.steps.catalog import CATALOG, DEFAULT_STEPS

pytestmark = pytest.mark.sandbox


def forms(runbook: Runbook) -> dict[str, bytes]:
    return forms_of(runbook.sandbox["registry_username"], runbook.token)


def test_a_plan_on_a_bare_namespace_changes_nothing(runbook: Runbook) -> None:
    mark = runbook.audit_mark()
    code, out = runbook.run("run", "--plan", *runbook.options)
    assert code == 0, out
    assert "kubectl" in out
    assert "+kind: Pod" in out
    assert runbook.writes_since(mark) == []
    assert not (runbook.folder / "runs").exists()
    assert not (runbook.folder / "docker").exists()


def test_the_first_run_ends_in_a_proven_push(runbook: Runbook) -> None:
    mark = runbook.audit_mark()
    with ArgvWatch(forms(runbook)) as watch:
        code, out = runbook.run("run", "--run-image", *runbook.options)
    assert code == 0, out
    digest = re.search(r"^digest: +(sha256:[0-9a-f]{64})$", out, re.MULTILINE)
    assert digest, out
    assert digest[1] == runbook.served_digest()
    assert re.search(r"builder: .* Ready [0-9.]+ s after it was applied", out)
    assert {p.name for p in runbook.newest.glob("*.ipynb")} == {CATALOG[s].notebook for s in DEFAULT_STEPS}
    assert digest[1] in (runbook.newest / "report.html").read_text()
    # The counting of writes, on which the next test stands, can see some.
    assert any("/pods/" in line for line in runbook.writes_since(mark))
    assert watch.looked > 1000
    assert watch.seen == set()
    assert runbook.left_over() == []
    assert hits(runbook.folder / "runs", forms(runbook)) == []
    assert [name for name, form in forms(runbook).items() if form.decode() in out] == []


def test_the_login_is_where_it_belongs_and_nowhere_else(runbook: Runbook) -> None:
    found = hits(runbook.folder, forms(runbook))
    config = runbook.folder / "docker" / "config.json"
    assert f"{config}: auth" in found
    assert stray(found, config) == []
    assert config.stat().st_mode & 0o777 == 0o600
    everything = run_kubectl(
        runbook.sandbox, "-n", runbook.namespace, "get", "all,secrets,events", "-o", "json"
    )
    assert [name for name, form in forms(runbook).items() if form.decode() in everything] == []


def test_the_second_run_writes_nothing_to_the_cluster(runbook: Runbook) -> None:
    config = runbook.folder / "docker" / "config.json"
    before, mark = (config.read_bytes(), config.stat().st_mtime_ns), runbook.audit_mark()
    code, out = runbook.run("run", *runbook.options)
    assert code == 0, out
    assert "was Ready already" in out
    assert runbook.writes_since(mark) == []
    assert (config.read_bytes(), config.stat().st_mtime_ns) == before
    journal = [json.loads(line) for line in (runbook.newest / "journal.jsonl").read_text().splitlines()]
    cached = [e for e in journal if "build_vertices" in e["data"]]
    assert any(v["cached"] for v in cached[-1]["data"]["build_vertices"])


def test_a_wrong_password_stops_the_run_at_its_step_and_says_so(runbook: Runbook, tmp_path: Path) -> None:
    wrong = Runbook(runbook.sandbox, runbook.namespace, tmp_path, "wr0ng/token+with=signs&more")
    code, out = wrong.run("run", "--steps", "configure-auth,test-push", *wrong.options)
    assert code == 1
    assert "StepFailedError: configure_auth" in out
    assert "remedy:" in out
    assert "[2/2]" not in out
    found = forms_of(wrong.sandbox["registry_username"], wrong.token)
    assert hits(tmp_path / "runs", found) == []
    assert [name for name, form in found.items() if form.decode() in out] == []


def test_clean_up_takes_everything_away_again(runbook: Runbook) -> None:
    code, out = runbook.run("clean-up", "--remove-login", "--remove-binaries", *runbook.options)
    assert code == 0, out
    left = run_kubectl(runbook.sandbox, "-n", runbook.namespace, "get", "pods,cm,secrets", "-o", "name")
    assert left.split() == ["configmap/kube-root-ca.crt"]
    backups = (runbook.folder / "docker").glob("*.bak")
    assert stray(hits(runbook.folder, forms(runbook)), *backups) == []
    assert not list((runbook.folder / "bin").glob("*/*"))
