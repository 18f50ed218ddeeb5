"""The panels of notebooks 90 and 99 by clicks: look, prune after a preview, an upgrade that goes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cluster_lab import Site
from cluster_lab import site_fixture as site_fixture
from guided_lab import Lab
from page_reader import SLOW, Reader
from papermill.iorw import load_notebook_node, write_ipynb
from papermill.parameterize import parameterize_notebook
from playwright.sync_api import Locator, expect

from runbook_lib.cluster import daemon
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.pods import candidates, exec_in_pod, is_ready
from runbook_lib.journal import Journal
from runbook_lib.progress import silent_sink
from runbook_lib.settings import Settings, fields_of
from runbook_lib.steps.install_pod import InstallPod

pytestmark = pytest.mark.sandbox
OPERATE, CLEAN_UP = "Look after the builder", "Clean up"
_BUILD = (
    "mkdir -p /tmp/c && printf 'FROM scratch\\nCOPY Dockerfile /kept\\n' > /tmp/c/Dockerfile && "
    "buildctl build --frontend dockerfile.v0 --local context=/tmp/c --local dockerfile=/tmp/c"
)


class Builder:
    """A builder that runs in a namespace of its own, with something in its cache."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        step = InstallPod(settings, Journal(Path(settings.run_dir)), silent_sink)
        step.apply()
        self.cluster: Cluster = step.cluster
        assert exec_in_pod(self.cluster, settings.name, ["sh", "-c", _BUILD], 60.0).code == 0

    def unused(self) -> int:
        """Cache records that no build uses."""
        records = daemon.cache_records(self.cluster, self.settings.name)
        return sum(not r.get("inUse") for r in records)

    def image(self) -> str:
        """The image of the builder, which must be Ready."""
        pod = candidates(self.cluster, self.settings)[0]
        assert is_ready(pod)
        return str(pod["spec"]["containers"][0]["image"])


@pytest.fixture(scope="module")
def builder(site: Site) -> Builder:
    return Builder(site.settings())


def _opened(reader: Reader, lab: Lab, step: str, notebook: str, builder: Builder) -> Locator:
    """The panel's card, in the notebook with the builder's parameters put in as papermill does."""
    path = lab.work / "notebooks" / notebook
    given = builder.settings.model_dump(mode="json", exclude_unset=True)
    values = {name: given[name] for name in fields_of(step) if name in given}
    write_ipynb(parameterize_notebook(load_notebook_node(str(path)), values), str(path))
    reader.open(notebook)
    # The panel alone is what this is about: the cells below it do the same, and other tests run them.
    reader.run_up_to("panel(step)")
    return reader.guided.locator(".bkr-card")


def test_look_prune_and_an_upgrade_that_goes_back(
    lab: Lab, read: Callable[..., Reader], builder: Builder
) -> None:
    reader = read(lab)
    card = _opened(reader, lab, "operate", "90_operate.ipynb", builder)
    _press(reader, card, "Check", ".bkr-findings", "v0.34.2, 1 worker")
    for text in ("Ready on", "are in no build's use", "no error in its last lines"):
        expect(card.locator(".bkr-findings")).to_contain_text(text)
    reader.press("Settings of this step", card)
    prune = card.get_by_label("prune", exact=True)
    prune.check()
    before, image = builder.unused(), builder.image()
    assert before > 0
    _press(reader, card, "Plan", ".bkr-diff", "local source for context")
    expect(card.locator(".bkr-diff .bkr-del")).to_have_count(before)
    expect(card.locator(".bkr-command").last).to_contain_text("buildctl prune --all")
    reader.picture("operate-prune-preview", card)
    assert builder.unused() == before, "a preview removes nothing"
    _press(reader, card, "Apply", ".bkr-findings", f"{before} records removed")
    assert builder.unused() == 0
    prune.uncheck()
    card.get_by_label("upgrade to", exact=True).fill("v9.9.9")
    back = f"it was rolled back to {image} (privileged), which is Ready"
    _press(reader, card, "Apply", ".bkr-failure", back)
    for text in ("moby/buildkit:v9.9.9", "here upgrade_to names it: v9.9.9"):
        expect(card.locator(".bkr-failure")).to_contain_text(text)
    expect(card.locator(".bkr-change")).to_have_count(0)  # the plan of the prune is no longer beside it
    reader.picture("operate-rolled-back", card)
    assert builder.image() == image


def _press(reader: Reader, card: Locator, verb: str, selector: str, text: str) -> None:
    """Press, see the result, and wait until the buttons take another press."""
    reader.press(verb, card)
    expect(card.locator(selector).last).to_contain_text(text, timeout=SLOW)
    expect(card.get_by_role("button", name=verb, exact=True)).to_be_enabled(timeout=SLOW)


def test_clean_up_takes_the_builder_away(lab: Lab, read: Callable[..., Reader], builder: Builder) -> None:
    reader = read(lab)
    card = _opened(reader, lab, "clean_up", "99_clean_up.ipynb", builder)
    _press(reader, card, "Plan", ".bkr-change", "delete")
    reader.press("Run this step", card)
    reader.expect_status(CLEAN_UP, "done")
    reader.picture("clean-up", card)
    assert candidates(builder.cluster, builder.settings) == []
