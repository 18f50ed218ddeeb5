"""The document counts what the results file holds, of every code state and kind."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
from harness import LOOKS
from records import added_up, read
from report import document, pack
from run import Case, planned
from soak_bounds import judged
from table import cases

CASE: dict[str, Any] = {
    "kind": "case", "time": "2026-01-01T00:00:00+00:00", "machine": "2 cores, Linux 6", "commit": "aaa",
    "step": "test_push", "phase": "apply", "fault": "SIGKILL etcd", "outcome": "typed error", "said": "",
    "struck": True, "seconds": 5.0, "rerun": "proven", "left": [], "leaked": [], "good": True,
    "looks": LOOKS,
}  # fmt: skip


def test_totals_table_and_bad_cases_follow_the_records(tmp_path: Path) -> None:
    records = [
        CASE,
        {**CASE, "commit": "bbb", "seconds": 7.25},
        {**CASE, "step": "install_pod", "outcome": "false success", "good": False},
        {**CASE, "step": "install_pod", "phase": "check"},
        {**CASE, "step": "install_pod", "time": "2026-01-04T00:00:00+00:00"},
        {"kind": "config_file", "kills": 40, "seconds": 2.5},
        {"kind": "config_file", "kills": 2, "seconds": 1.5},
    ]
    path = tmp_path / "results.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    text = document(read(path))
    assert "| cases run | 5 |" in text
    assert "| rounds of each case, least and most | 1, 2 |" in text
    assert "| false successes | 1 |" in text
    assert "| SIGKILL etcd | 2 typed error, 1 **bad**; 5.0 s |  |  | 2 typed error; 7.2 s |" in text
    assert (
        "| install_pod apply | SIGKILL etcd | false success; rerun proven | `aaa` | not known | 1 |" in text
    )
    assert "| kills | 42 |" in text
    assert "`aaa` (4), `bbb` (1)" in text


def test_a_results_file_that_is_not_there_counts_nothing(tmp_path: Path) -> None:
    assert "| cases run | 0 |" in document(read(tmp_path / "none"))


def test_records_add_up_over_machines_and_each_counts_once(tmp_path: Path) -> None:
    packed = tmp_path / "records.jsonl.gz"
    later = {**CASE, "time": "2026-01-02T00:00:00+00:00", "said": "ClusterError: gone"}
    bad = {**CASE, "time": "2026-01-03T00:00:00+00:00", "good": False, "said": "HangError: for ever"}
    pack(packed, added_up([bad, CASE]))
    before = packed.read_bytes()
    records = added_up(read(packed), [later, CASE])
    assert [r["time"][:10] for r in records] == ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert [r.get("said") for r in records] == [None, None, "HangError: for ever"]
    pack(packed, added_up(read(packed)))
    assert packed.read_bytes() == before
    assert "| cases run | 3 |" in document(records)


def test_cases_that_the_table_no_longer_has_are_left_out_and_counted() -> None:
    text = document([CASE, {**CASE, "fault": "a fault that never struck"}])
    assert "| cases run | 1 |" in text
    assert "| records left out, of cases that the table no longer has | 1 |" in text


def test_what_an_older_harness_judged_is_summed_up_apart() -> None:
    old = {**CASE, "looks": LOOKS - 1, "outcome": "hang", "good": False}
    text = document([CASE, old, {**old, "struck": False}])
    totals, before = text.split("## Judged by the harness of before")
    assert "| cases run | 1 |" in totals
    assert "| hangs | 0 |" in totals
    assert "| cases run | 2 |" in before
    assert "| hangs | 2 |" in before
    assert "| SIGKILL etcd |  |  |  | 1 typed error; 5.0 s |" in text


def test_what_was_never_run_or_never_struck_is_named() -> None:
    text = document([{**CASE, "struck": False}])
    assert "| test_push apply | SIGKILL etcd | never struck |" in text
    assert "| test_push verify | SIGKILL etcd | never run |" in text


def test_a_bound_that_is_not_held_is_marked() -> None:
    page = {
        "kind": "soak", "page_rounds": 200, "page_proven": 199, "page_rss_percent_per_hour": 0.4,
        "page_descriptors_early_late": [19, 21], "page_threads_early_late": [9, 9],
    }  # fmt: skip
    text = document([page, {"kind": "soak", "builds_at_once": 2, "builds_proven": 2, "builds_served": 2,
                            "builds_processes_left": 0}])  # fmt: skip
    assert "| rounds of the page not proven | 1 | 0 | **no** |" in text
    assert "| descriptors the page gained | 2 | 0 | **no** |" in text
    assert "| memory that the page gains, % an hour | 0.4 | 1 | yes |" in text
    assert "| builds at once not proven | 0 | 0 | yes |" in text
    assert "runs that failed" not in text


RUNS: dict[str, Any] = {
    "kind": "soak", "runs": 200, "runs_failed": 0, "runs_served": 200, "ours_most": 0, "hours": 2.0,
    "sandbox_processes_per_hour": 0.0, "sandbox_descriptors_per_hour": 0.0, "sandbox_descriptors_last": 300.0,
    "runs_kept": 20, "keep_runs": 20, "home_size_per_hour": 0.0, "cache_limit": 1000.0, "cache_unknown": 0,
    "builder_cache_last": 20.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("broken", "bound"),
    [
        ({"runs_failed": 1}, "runs that failed"),
        ({"runs_served": 199}, "runs whose tag the registry does not have"),
        ({"ours_most": 1}, "processes of ours between two runs, at most"),
        ({"sandbox_processes_per_hour": 1.0}, "processes that the sandbox gained"),
        ({"sandbox_descriptors_per_hour": 30.0}, "descriptors that sandbox and builder gained, %"),
        ({"runs_kept": 0}, "run folders more or fewer than keep_runs"),
        ({"runs_kept": 21}, "run folders more or fewer than keep_runs"),
        ({"home_size_per_hour": 1.0}, "MiB that home and temporary folder gained"),
        ({"cache_unknown": 3}, "times the builder's cache could not be measured"),
        ({"builder_cache_last": 1001.0}, "builder's cache above BuildKit's own limit, MB"),
    ],
)
def test_each_bound_of_whole_runs_can_be_broken(broken: dict[str, Any], bound: str) -> None:
    assert all(held for *_, held in judged(RUNS))
    assert [what for what, _, _, held in judged({**RUNS, **broken}) if not held] == [bound]


def test_a_round_begins_with_the_cases_that_were_good_least_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, packed = tmp_path / "results.jsonl", tmp_path / "records.jsonl.gz"
    monkeypatch.setattr("run.RECORDS", packed)
    chosen = cases()[:4]
    assert planned(chosen, _options(path)) == chosen
    often, once = chosen[0], chosen[2]
    pack(packed, [_told(often), {**_told(chosen[1]), "good": False}])  # of another machine
    told = [
        _told(often),  # the same record again
        {**_told(often), "time": "2026-01-05T00:00:00+00:00"},
        _told(once),
        {**_told(chosen[3]), "looks": LOOKS - 1},
        {"kind": "soak"},
    ]
    path.write_text("".join(json.dumps(r) + "\n" for r in told))
    assert planned(chosen, _options(path)) == [chosen[1], chosen[3], once, often]
    never = [chosen[1], chosen[3]]
    assert planned(chosen, _options(path, rounds=2, upto=2)) == [*never, once, *never]
    assert planned(chosen, _options(path, rounds=1, upto=1)) == never


def _options(results: Path, rounds: int = 1, upto: int = 0) -> argparse.Namespace:
    return argparse.Namespace(results=results, rounds=rounds, upto=upto)


def _told(case: Case) -> dict[str, Any]:
    return {**CASE, "step": case[0], "phase": case[1], "fault": case[2].name}
