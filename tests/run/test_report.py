"""The last lines of a run, from journals of runs that did only a part."""

from __future__ import annotations

from pathlib import Path

from runbook_lib.journal import Journal
from runbook_lib.run.folder import RunFolder
from runbook_lib.run.report import summary, write


def test_a_run_of_step_3_alone_has_a_summary_and_a_report(tmp_path: Path) -> None:
    Journal(tmp_path).fact("fetch_buildctl", daemon_version="v0.34.2", builder_pod="buildkitd")
    folder = RunFolder(tmp_path)
    assert summary(folder) == [f"report:  {tmp_path / 'report.html'}"]
    assert "<html" in write(folder).read_text()
    Journal(tmp_path).fact("install_pod", builder_pod="buildkitd", builder_namespace="build")
    assert summary(folder)[0] == "builder: build/buildkitd was Ready already"
