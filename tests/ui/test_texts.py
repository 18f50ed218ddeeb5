"""Every text of the page is in every catalogue, and a catalogue keeps the braces of what it translates."""

from __future__ import annotations

import ast
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from babel.messages.pofile import read_po

from runbook_lib import redaction
from runbook_lib.findings import Status
from runbook_lib.plan import Action
from runbook_lib.settings import Settings
from runbook_lib.steps.catalog import CATALOG
from runbook_lib.steps.contract import REPOSITORY_ROOT
from runbook_lib.steps.story import FINISHED, PHASES
from runbook_lib.ui import texts
from runbook_lib.ui.narratives import NARRATIVES, narrative_of
from runbook_lib.ui.step_card import VERBS

LANGUAGES = [name for name in texts.languages() if name != "en"]
_UI = REPOSITORY_ROOT / "runbook_lib" / "ui"


def in_the_code() -> Iterator[str]:
    """The literals that are given to `t`, also those inside f-strings."""
    for path in _UI.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "t":
                first = node.args[0]
                if isinstance(first, ast.Constant) and first.value:
                    yield str(first.value)


def wanted() -> set[str]:
    found = set(in_the_code()) | {e.title for e in CATALOG.values()} | {v.capitalize() for v in VERBS}
    for name, info in Settings.model_fields.items():
        found |= {name.replace("_", " "), str(info.description)}
    found |= {line for story in NARRATIVES.values() for part in story for line in part}
    found |= {s.value for s in Status} | {a.value for a in Action} | set(FINISHED)
    return found | {"failed", "interrupted", "unfinished", "running", "not run", "CACHED"}


def test_there_is_a_catalogue_and_the_code_has_texts() -> None:
    assert LANGUAGES == ["zh_CN"]
    assert len(wanted()) > 150
    assert tuple(VERBS) == PHASES


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_missing_and_nothing_is_left_over(language: str) -> None:
    with (texts.FOLDER / f"{language}.po").open("rb") as file:
        catalogue = read_po(file, language)
    translated = {str(m.id): str(m.string) for m in catalogue if m.id}
    assert wanted() - {k for k, v in translated.items() if v} == set()
    assert set(translated) - wanted() == set()
    for key, value in translated.items():
        assert set(re.findall(r"{\w+}", key)) == set(re.findall(r"{\w+}", value)), key


@pytest.mark.parametrize("given", ["zh", "zh-CN", "zh_Hans_CN", "zh_CN.UTF-8"])
def test_ways_to_write_a_language(given: str) -> None:
    try:
        assert texts.use(given) == "zh_CN"
        assert texts.t("Run all steps") == "运行全部步骤"
    finally:
        texts.use("en")
    assert texts.t("Run all steps") == "Run all steps"


def test_the_lab_decides_before_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("LC_ALL", "en_GB.UTF-8")
    path = tmp_path / "lab/user-settings/@jupyterlab/translation-extension/plugin.jupyterlab-settings"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"locale": "zh_CN"}))
    try:
        assert texts.use() == "zh_CN"
        path.write_text("not json")
        assert texts.use() == "en"
    finally:
        texts.use("en")


@pytest.mark.parametrize("step", CATALOG)
def test_every_sentence_of_the_story_stands_in_the_notebook(step: str) -> None:
    notebook = json.loads((REPOSITORY_ROOT / "notebooks" / CATALOG[step].notebook).read_text())
    cells = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "markdown"]
    prose = _plain("\n".join(cells))
    sentences = [one for part in NARRATIVES[step] for line in part for one in re.split(r"(?<=\.)\s", line)]
    assert len(sentences) > 5
    assert [one for one in sentences if one not in prose] == []


def _plain(text: str) -> str:
    """Markdown without the marks of links, code and emphasis; one space between words."""
    return " ".join(re.sub(r"[`*]", "", re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text)).split())


@pytest.mark.parametrize("step", CATALOG)
def test_every_step_tells_its_story_in_both_languages(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Secrets that other tests of this process learnt may be ordinary words, which would be blanked here.
    monkeypatch.setattr(redaction, "_known", set())
    told = {}
    try:
        for language in texts.languages():
            assert texts.use(language) == language
            told[language] = re.sub(r"<[^>]+>", " ", narrative_of(step))
    finally:
        texts.use("en")
    english, chinese = told["en"], told["zh_CN"]
    for part in NARRATIVES[step]:
        assert part
        assert all(html.escape(line) in english for line in part)
        assert not any(html.escape(line) in chinese for line in part)
    assert len(re.findall(r"[\u4e00-\u9fff]", chinese)) > 100
    assert not re.search(r"(\b[a-z]+ ){5}", chinese), "no English sentence may be left"
    assert narrative_of(step).count("<h3>") == 3


def test_the_parameter_knows_the_languages_that_there_are() -> None:
    assert get_args(Settings.model_fields["language"].annotation) == ("", *texts.languages())
