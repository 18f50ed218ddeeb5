"""What steps say is told in the reader's language: every text of theirs has a template and a translation."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import said_by_steps
from babel.messages.pofile import read_po

from runbook_lib.settings import Settings
from runbook_lib.steps.catalog import CATALOG
from runbook_lib.ui import markup, texts
from runbook_lib.ui.said import FOLDER, said

LANGUAGES = [name for name in texts.languages() if name != "en"]
IMAGE = "docker.io/moby/buildkit:v9.9.9 (privileged)"


@pytest.fixture
def chinese() -> Iterator[None]:
    texts.use("zh_CN")
    yield
    texts.use("en")


def wanted() -> set[str]:
    """The templates of all covered modules, without what the page's own catalogue holds."""
    own = {str(i.description) for i in Settings.model_fields.values()} | {e.title for e in CATALOG.values()}
    return said_by_steps.templates() - own


def test_every_module_whose_words_reach_the_page_is_covered() -> None:
    covered = {p.relative_to(said_by_steps.ROOT).as_posix() for p in said_by_steps.COVERED}
    there = {p.relative_to(said_by_steps.ROOT).as_posix() for p in said_by_steps.ROOT.rglob("*.py")}
    left = {name for name in there - covered if not name.startswith(("run/", "ui/")) and "__" not in name}
    raising = {
        name
        for name in left
        if re.search(r"\bFinding\(|raise \w+Error\(", (said_by_steps.ROOT / name).read_text())
    }
    assert raising == set(), "these say something, and nobody holds it to the catalogue"
    assert len(wanted()) > 700


def test_a_template_is_read_out_of_all_ways_to_write_a_text() -> None:
    source = (
        'def f(a: str) -> None:\n    """Not this one."""\n    kept = f"; left {a} there"\n'
        '    raise E(f"it {a!r} and {len(a):.0f}" + " more, " + a, remedy="do this" if a else "do that")\n'
        '    run(f"export PATH={a}:$PATH")\n'
    )
    found = set(said_by_steps.of_source(source))
    assert found == {"it {0} and {1} more, {2}", "do this", "do that", "left {0} there"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_missing_and_nothing_is_left_over(language: str) -> None:
    with (FOLDER / f"{language}.po").open("rb") as file:
        translated = {str(m.id): str(m.string) for m in read_po(file, language) if m.id}
    assert wanted() - {k for k, v in translated.items() if v} == set()
    assert set(translated) - wanted() == set()
    for key, value in translated.items():
        assert sorted(re.findall(r"{\d+}", key)) == sorted(re.findall(r"{\d+}", value)), key


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("there is no kubeconfig", "没有 kubeconfig"),
        ("Ready on node-1, 2 restarts", "在 node-1 上就绪，重启 2 次"),
        ("missing: create pods (to make the builder Pod)", "缺少：create pods（用于创建构建器 Pod）"),
        ("unchanged", "不变"),
        ("to do: create", "待办：创建"),
        (
            "correct the parameter image; the tag must exist in the registry; here upgrade_to names it: v9",
            "更正参数 image；标签必须存在于镜像仓库中；这里由 upgrade_to 指定：v9",
        ),
        ("check of 'Install the builder'", "安装构建器：检查"),
        (
            "nodes: no node fits; namespace team: it is being deleted",
            "节点：没有合适的节点；命名空间 team：它正在删除",
        ),
        (
            f"the builder did not become Ready with {IMAGE}: the image does not exist "
            f"under this name and tag [rpc error: code = NotFound]; "
            f"it was rolled back to {IMAGE}, which is Ready",
            f"构建器换用 {IMAGE} 后未能就绪：没有此名称和标签的镜像 [rpc error: code = NotFound]；"
            f"已退回 {IMAGE}，现已就绪",
        ),
    ],
)
@pytest.mark.usefixtures("chinese")
def test_texts_are_put_together_as_steps_put_them_together(text: str, shown: str) -> None:
    assert said(text) == shown


@pytest.mark.parametrize(
    "text", ["", "cache", "error of something in a log", "version of x: y; z", "a: b of c; " * 150]
)
@pytest.mark.usefixtures("chinese")
def test_what_no_step_says_stays_as_it_is(text: str) -> None:
    known = {"cache": "缓存"}  # a subject by itself; as a value it is a name
    assert said(text) == known.get(text, text)
    assert said("namespace cache") == "命名空间 cache"


@pytest.mark.usefixtures("chinese")
def test_findings_failures_and_plans_are_told_in_chinese() -> None:
    finding = {
        "status": "fail",
        "subject": "nodes",
        "message": "no node fits",
        "remedy": "add a node",
        "evidence": "no node fits",
    }
    shown = markup.findings([finding])
    assert "没有合适的节点" in shown
    assert "增加节点" in shown
    assert shown.count("no node fits") == 1, "what was seen stays as it is"
    assert "先运行 notebook 01" in markup.failure({"what": "x", "remedy": "run notebook 01 first"})
    lost = "!lost by this: the builder's cache, and builds that are running"
    diff = markup.diff(f"+there is no kubeconfig\n{lost}")
    assert "+there is no kubeconfig" in diff
    assert "将丢失" in diff


def test_english_stays_english() -> None:
    assert said("there is no kubeconfig") == "there is no kubeconfig"
