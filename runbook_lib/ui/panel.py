"""One step's panel, for the notebook of that step."""

from __future__ import annotations

import threading

import ipywidgets as w

from runbook_lib.errors import RunbookError
from runbook_lib.settings import fields_of
from runbook_lib.steps.catalog import CATALOG
from runbook_lib.steps.contract import Step
from runbook_lib.steps.story import tell
from runbook_lib.ui import texts
from runbook_lib.ui.actions import Actions
from runbook_lib.ui.buttons import switch_in, with_switch
from runbook_lib.ui.choices import Choices
from runbook_lib.ui.narratives import narrative_of
from runbook_lib.ui.registry_box import RegistryBox
from runbook_lib.ui.step_card import Presses, StepCard
from runbook_lib.ui.style import style
from runbook_lib.ui.texts import t
from runbook_lib.ui.work import Worker


class Panel:
    """A card that is open from the start, over the parameters of the notebook's cell."""

    def __init__(self, step: Step, language: str) -> None:
        choices = Choices(step.settings.model_dump(mode="json", exclude_unset=True))
        self._drawing = threading.Lock()
        self._worker = Worker(self._refresh, self._failed)
        actions = Actions(choices.settings, self._worker, lambda _: None)
        presses = Presses(actions.verb, actions.whole, self._worker.cancel)
        parts: list[w.Widget] = [style(), _narrative(step.name, opened=language != "en")]
        fields = own_first(step.name)
        if step.name == "configure_auth":
            box = RegistryBox(choices)
            parts.append(box.secret)
        self._card = StepCard(step.name, choices, presses, fields)
        stories, _ = tell(step.journal.entries(), [step.name])
        self._card.remember(stories[step.name])
        self._card.open(True)
        self.widget = w.VBox([*parts, self._card.widget]).add_class("bkr-page").add_class("bkr-panel")

    def _failed(self, error: RunbookError) -> None:
        self._card.fail(error)

    def _refresh(self) -> None:
        with self._drawing:
            self._card.refresh(busy=self._worker.busy)


def own_first(step: str) -> list[str]:
    """The parameters of `step`, first those that no other step has: they are what its panel is for."""
    others = {name for other in CATALOG if other != step for name in fields_of(other)}
    return sorted((name for name in fields_of(step) if name != "language"), key=others.__contains__)


def panel_of(step: Step, language: str) -> w.Widget:
    """A panel over `step`'s settings; pressing its buttons changes no cell of the notebook."""
    return Panel(step, texts.use(language or step.settings.language)).widget


def _narrative(step: str, *, opened: bool) -> w.Widget:
    """What the notebook's prose says; open where that prose is in another language than the reader's."""
    body = w.HTML(narrative_of(step)).add_class("bkr-narrative")
    return with_switch(switch_in(body, t("About this step"), opened=opened), body)
