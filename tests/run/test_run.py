"""A whole run over fake steps: success, failure, death, interruption, resume, and what each leaves."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest
from fake_runs import TOKEN, FakeRuns

STEPS = ("install_pod", "configure_auth")
TWO = ("--steps", ",".join(STEPS))


def _wait_for_work(runs: FakeRuns, step: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        journals = [p.read_text() for p in runs.base.glob("*/journal.jsonl")]
        if any(f"{step} is at work" in text for text in journals):
            return
        time.sleep(0.1)
    pytest.fail(f"{step} was not at work within {seconds} s")


def test_a_good_run_tells_its_progress_and_leaves_notebooks_and_report(fake_runs: FakeRuns) -> None:
    code, out, err = fake_runs.run(*TWO, "--namespace", "team-a")
    assert (code, err) == (0, "")
    assert [fake_runs.applied(s) for s in STEPS] == [1, 1]
    assert "[2/2] Log in to the registry" in out
    assert "install_pod is at work" in out
    folder = fake_runs.newest()
    assert {p.name for p in folder.glob("*.ipynb")} == {"01_install_pod.ipynb", "02_configure_auth.ipynb"}
    manifest = json.loads((folder / "run.json").read_text())
    assert manifest["parameters"]["namespace"] == "team-a"
    report = (folder / "report.html").read_text()
    assert "reg/x:1" in report
    assert "<b>made</b>" not in report  # what the world says is escaped
    assert "&lt;b&gt;made" in report
    assert fake_runs.left_over() == []


def test_a_kernel_that_is_not_quite_done_is_not_interrupted(fake_runs: FakeRuns) -> None:
    fake_runs.does("install_pod", "dawdle")
    code, _, err = fake_runs.run("--steps", "install_pod")
    assert (code, err) == (0, "")
    assert fake_runs.left_over() == []


def test_a_failure_names_step_cause_and_remedy_and_resume_goes_on(fake_runs: FakeRuns) -> None:
    fake_runs.does("configure_auth", "fail")
    code, _, err = fake_runs.run(*TWO)
    assert code == 1
    assert "configure_auth: pod/fake: the pod is on fire (ClusterError)" in err
    assert "remedy: pour water" in err
    assert "the pod is on fire" in (fake_runs.newest() / "report.html").read_text()
    fake_runs.does("configure_auth", "")
    code, out, err = fake_runs.run("--resume")
    assert (code, err) == (0, "")
    assert "verified again" in out
    assert [fake_runs.applied(s) for s in STEPS] == [1, 1]
    assert len(list(fake_runs.base.glob("*/run.json"))) == 1


def test_resume_runs_again_what_no_longer_stands(fake_runs: FakeRuns) -> None:
    assert fake_runs.run("--steps", "install_pod")[0] == 0
    (fake_runs.world / "install_pod").unlink()
    code, out, _ = fake_runs.run("--resume")
    assert code == 0
    assert "no longer stands" in out
    assert fake_runs.applied("install_pod") == 1


def test_resume_refuses_other_parameters_and_a_missing_run(fake_runs: FakeRuns) -> None:
    code, _, err = fake_runs.run("--resume")
    assert code == 2
    assert "no run to go on with" in err
    assert fake_runs.run("--steps", "install_pod", "--namespace", "a")[0] == 0
    code, _, err = fake_runs.run("--resume", "--namespace", "b")
    assert code == 2
    assert "namespace differ" in err
    assert fake_runs.run("--resume", "--namespace", "a")[0] == 0
    code, _, err = fake_runs.run("--resume", "nosuch")
    assert code == 2
    assert "no such run" in err


def test_a_dead_kernel_is_a_typed_error(fake_runs: FakeRuns) -> None:
    fake_runs.does("install_pod", "die")
    code, _, err = fake_runs.run("--steps", "install_pod")
    assert code == 1
    assert "StepFailedError: install_pod: the kernel died" in err
    assert fake_runs.left_over() == []


def test_a_stopped_kernel_is_a_typed_error_and_is_ended(fake_runs: FakeRuns) -> None:
    fake_runs.does("install_pod", "freeze")
    begun = time.monotonic()
    code, _, err = fake_runs.run("--steps", "install_pod")
    assert code == 1
    assert "StepFailedError: install_pod: the kernel was stopped for 1 s" in err
    assert time.monotonic() - begun < 30
    assert fake_runs.left_over() == []


def test_a_secret_in_a_library_error_is_blanked(fake_runs: FakeRuns) -> None:
    fake_runs.does("configure_auth", "leak")
    words = ("--steps", "configure_auth", "--registry-credential", "env:FAKE_TOKEN")
    code, out, err = fake_runs.run(*words)
    assert code == 1
    assert "a library says" in err
    written = [p.read_text() for p in fake_runs.newest().glob("*") if p.is_file()]
    assert len(written) >= 4
    assert not [text for text in [out, err, *written] if TOKEN in text]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_its_kernel_and_what_it_started(
    fake_runs: FakeRuns, number: signal.Signals
) -> None:
    fake_runs.does("install_pod", "hang")
    with fake_runs.start("run", "--steps", "install_pod") as process:
        _wait_for_work(fake_runs, "install_pod")
        os.kill(process.pid, number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "run --resume" in err
    assert "Interrupted" in (fake_runs.newest() / "report.html").read_text()
    assert fake_runs.left_over() == []


def test_a_killed_run_is_swept_by_the_next_and_can_be_resumed(fake_runs: FakeRuns) -> None:
    fake_runs.does("configure_auth", "hang")
    with fake_runs.start("run", *TWO) as process:
        _wait_for_work(fake_runs, "configure_auth")
        process.kill()
    assert fake_runs.kernel_files(), "the look at its files finds nothing"
    fake_runs.does("configure_auth", "")
    code, out, _ = fake_runs.run("--resume")
    assert list(fake_runs.world.glob("*ipc*")) == [], "the working folder is the reader's"
    assert code == 0
    assert "verified again" in out
    assert [fake_runs.applied(s) for s in STEPS] == [1, 1]
    assert fake_runs.left_over() == []
    assert list(fake_runs.temporary.iterdir()) == []  # the kernel's key was in there


def test_a_run_that_is_going_on_cannot_be_resumed(fake_runs: FakeRuns) -> None:
    fake_runs.does("install_pod", "hang")
    with fake_runs.start("run", "--steps", "install_pod") as process:
        _wait_for_work(fake_runs, "install_pod")
        code, _, err = fake_runs.run("--resume")
        assert code == 2
        assert "still at this run" in err
        process.terminate()
        process.communicate(timeout=30)


def test_a_plan_changes_nothing(fake_runs: FakeRuns) -> None:
    code, out, _ = fake_runs.run("--plan", *TWO)
    assert code == 0
    assert "touch install_pod" in out
    assert list(fake_runs.world.iterdir()) == []
    assert not fake_runs.base.exists()
