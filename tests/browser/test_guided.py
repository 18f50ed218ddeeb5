"""The guided page by clicks, from a clean home folder to a verified push; and what must not be left."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import guided_lab
import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from canaries import forms_of, hits
from guided_lab import Lab
from page_reader import SLOW, Reader
from playwright.sync_api import expect

from runbook_lib.steps.contract import REPOSITORY_ROOT

pytestmark = pytest.mark.sandbox
Readers = Callable[..., Reader]
STEPS = ("Install the builder", "Log in to the registry", "Fetch buildctl", "Build, push and prove it")
PROJECT = [p for p in REPOSITORY_ROOT.iterdir() if p.is_dir() and p.name not in (".venv", ".git", "build")]
MOST_ACTIONS, MOST_SECONDS = 8, 60.0
_WITHOUT_EVIDENCE = """rows => rows.map(row => {
  const copy = row.cloneNode(true);
  copy.querySelectorAll(".bkr-seen").forEach(seen => seen.remove());
  return copy.textContent;
})"""
_DIGESTS = """
import sys
from pathlib import Path
from runbook_lib.journal import Journal
from runbook_lib.settings_sources import load
from runbook_lib.steps.catalog import DEFAULT_STEPS, entry_of
settings = load({}, sys.argv[1], environ={})
for name in DEFAULT_STEPS:
    print(name, entry_of(name).load()(settings, Journal(Path(sys.argv[2]))).plan().digest)
"""


def traces(username: str, secret: str, *folders: Path) -> list[str]:
    """The files below `folders` that hold `secret` in any of its usual forms."""
    return [hit for folder in folders for hit in hits(folder, forms_of(username, secret))]


def serious(reader: Reader) -> list[str]:
    """What axe calls serious or critical on our own page (JupyterLab around it is not ours)."""
    result = Axe().run(reader.page, context=".bkr-page")
    return [
        f"{v['id']}: {node['html'][:160]} {node.get('failureSummary', '')[:200]}"
        for v in result.response["violations"]
        if v["impact"] in ("serious", "critical")
        for node in v["nodes"]
    ]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the guided run, which the photographs show again."""
    return tmp_path_factory.mktemp("told")


@pytest.mark.usefixtures("bare_cluster", "sandbox_docker_config")
def test_a_clean_home_to_a_verified_push(
    lab: Lab, read: Readers, token: str, told: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(lab.home / ".local" / "share" / "buildkit-runbook", ignore_errors=True)
    guided_lab.lay_out(lab)
    reader = read(lab)
    reader.open("")
    files = reader.page.locator(".jp-DirListing-itemText")
    expect(files.first).to_have_text("00_start_here.ipynb")
    reader.picture("as-it-opens")
    reader.run_all()
    reader.give_token(token)
    reader.press("Run all steps")
    expect(reader.guided.get_by_text("Pushed and proven")).to_be_visible(timeout=SLOW)
    seconds = time.monotonic() - reader.began
    with capsys.disabled():
        print(f"\n  guided run: {reader.actions} actions, {seconds:.1f} s from first click to verified push")
    assert reader.actions <= MOST_ACTIONS
    assert seconds <= MOST_SECONDS
    for title in STEPS:
        reader.expect_status(title, "done")
    expect(reader.guided.get_by_text("Open the report")).to_be_visible(timeout=SLOW)
    reader.picture("guided-done-light", reader.guided)
    assert serious(reader) == []
    _copies(reader)
    _exports_the_same_plan(reader, lab.run_dir, token)
    for closed in reader.guided.locator(".bkr-toggle:not(.bkr-open)").all()[::-1]:
        closed.click()
    assert reader.guided.get_by_role("textbox").count() > 20, "everything was to be unfolded"
    assert reader.nameless() == []
    reader.save()
    saved = json.loads((lab.work / "notebooks" / "00_start_here.ipynb").read_text())
    assert saved["metadata"]["widgets"], "widget state was to be saved, or this proves nothing"
    assert traces("sandboxns/developer", token, lab.base, *PROJECT) == []
    shutil.copytree(lab.run_dir, told, dirs_exist_ok=True)


def _copies(reader: Reader) -> None:
    lines = reader.guided.locator(".bkr-outcome .bkr-command")
    lines.last.get_by_role("button").click()
    copied = reader.page.evaluate("navigator.clipboard.readText()")
    assert copied == lines.last.locator("code").inner_text()
    assert "buildctl" in copied


def _exports_the_same_plan(reader: Reader, run_dir: Path, token: str) -> None:
    """What the page plans and what the exported parameters give headless have one hash, step by step."""
    for title in STEPS:
        reader.open_card(title)
        reader.press("Plan", reader.card(title))
        expect(reader.card(title).get_by_role("button", name="Plan")).to_be_enabled(timeout=SLOW)
    reader.press("Export as papermill")
    expect(reader.guided.get_by_text("guided.yaml").first).to_be_visible()
    profile = run_dir / "guided.yaml"
    values = yaml.safe_load(profile.read_text())
    assert values["registry_credential"] == "env:BUILDKIT_RUNBOOK_TOKEN"
    on_page = _planned(run_dir)
    assert set(on_page) == {"install_pod", "configure_auth", "fetch_buildctl", "test_push"}
    command = [sys.executable, "-c", _DIGESTS, str(profile), str(run_dir)]
    # The plan compares the login with the secret, so the headless side is given the variable it names.
    environ = {**os.environ, "HOME": str(reader.lab.home), "BUILDKIT_RUNBOOK_TOKEN": token}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ)
    assert done.returncode == 0, done.stderr
    assert dict(line.split() for line in done.stdout.splitlines()) == on_page


def _planned(run_dir: Path) -> dict[str, str]:
    """The digest of each step's newest plan in the journal, computed as `Plan.digest` is."""
    plans = {}
    for line in (run_dir / "journal.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if entry["kind"] == "plan":
            items = json.dumps(entry["data"]["items"], sort_keys=True)
            plans[entry["step"]] = hashlib.sha256(items.encode()).hexdigest()
    return plans


@pytest.mark.parametrize(("theme", "locale"), [("JupyterLab Dark", ""), ("JupyterLab Light", "zh_CN")])
def test_both_themes_and_languages(lab: Lab, read: Readers, told: Path, theme: str, locale: str) -> None:
    guided_lab.renew(lab, theme, locale)
    shutil.copytree(told, lab.run_dir)
    reader = read(lab, 1024, 1400)
    reader.open()
    reader.run_all()
    proven = "已推送并验证" if locale else "Pushed and proven"
    expect(reader.guided.get_by_text(proven)).to_be_visible(timeout=SLOW)
    reader.guided.locator(".bkr-card .bkr-toggle").first.click()
    reader.page.wait_for_timeout(300)
    reader.picture(f"guided-{'zh' if locale else 'dark'}", reader.guided)
    assert serious(reader) == []
    if locale:
        found = reader.guided.locator(".bkr-found").evaluate_all(_WITHOUT_EVIDENCE)
        assert len(found) > 10
        assert [text for text in found if re.search(r"([a-z]{2,} ){3}", text)] == []
    overflow = reader.guided.evaluate("e => e.scrollWidth - e.clientWidth")
    assert overflow <= 1, "the page must fit 1024 px"


def test_a_step_notebook_has_a_panel_of_its_own_in_the_language_of_its_parameter(
    lab: Lab, read: Readers
) -> None:
    notebook = lab.work / "notebooks" / "01_install_pod.ipynb"
    text = notebook.read_text()
    assert text.count('language = \\"\\"') == 1
    notebook.write_text(text.replace('language = \\"\\"', 'language = \\"zh_CN\\"'))
    reader = read(lab)
    reader.open(notebook.name)
    reader.run_all()
    expect(reader.page.locator(".bkr-panel")).to_be_visible(timeout=SLOW)
    expect(reader.guided.locator(".bkr-narrative")).to_contain_text(
        "构建会在自己的容器内挂载文件系统并启动容器"
    )
    card = reader.card("安装构建器")
    reader.press("检查", card)
    expect(card.locator(".bkr-findings .bkr-fail").first).to_be_visible(timeout=SLOW)
    expect(card).to_contain_text("没有 kubeconfig")
    reader.picture("panel-zh", reader.guided)
    assert serious(reader) == []
    assert reader.nameless() == []
