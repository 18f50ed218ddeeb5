"""Form fields drawn from the settings schema: label, help, choices and validation are the schema's."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Literal, get_args, get_origin

import ipywidgets as w

from runbook_lib.settings import Settings
from runbook_lib.ui.choices import Choices
from runbook_lib.ui.markup import esc
from runbook_lib.ui.said import said
from runbook_lib.ui.texts import t


class Field:
    """One parameter: its control, its help text, and the fault in what is typed, if there is one."""

    def __init__(self, choices: Choices, name: str) -> None:
        self._choices, self.name = choices, name
        self._setting = False
        info = Settings.model_fields[name]
        self._help = t(info.description or "")
        self.control = _control(name, info.annotation, choices.get(name))
        self._note = w.HTML().add_class("bkr-help")
        self._show()
        self.control.observe(self._typed, names="value")
        choices.watch(self._changed)
        self.widget = w.VBox([self.control, self._note]).add_class("bkr-field")

    def _typed(self, change: dict[str, Any]) -> None:
        if not self._setting:
            self._choices.type_in(self.name, change["new"])

    def _changed(self, name: str) -> None:
        """Somebody (this field, another of the same parameter, a profile) changed the choices."""
        if name != self.name:
            return
        if name not in self._choices.faults:
            self._set(self._choices.get(name))
        self._show()

    def _set(self, value: object) -> None:
        shown = value if isinstance(value, bool) else to_text(value)
        typed = self.control.value
        # "60" and "60.0", or "a,b" and "a, b", mean the same: what is being typed is left alone.
        if typed == shown or (isinstance(typed, str) and _same(self.name, typed, value)):
            return
        self._setting = True
        try:
            self.control.value = shown
        finally:
            self._setting = False

    def _show(self) -> None:
        fault = self._choices.faults.get(self.name, "")
        text = (
            f'<span class="bkr-fault" role="alert">✗ {esc(said(fault))}</span>' if fault else esc(self._help)
        )
        self._note.value = text


def form(choices: Choices, names: Iterable[str]) -> w.Widget:
    """A grid of fields; it is an empty box where there are none."""
    return w.Box([Field(choices, name).widget for name in names]).add_class("bkr-form")


def to_text(value: object) -> str:
    """How a value stands in a text field: words with commas, other lists and mappings as JSON."""
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return ", ".join(value)
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False) if value else ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def label_of(name: str) -> str:
    """The label of a parameter: its name, in words."""
    return t(name.replace("_", " "))


def _same(name: str, typed: str, value: object) -> bool:
    from runbook_lib.errors import SettingsError
    from runbook_lib.ui.choices import read

    try:
        return bool(read(name, typed) == value)
    except SettingsError:
        return False


def _control(name: str, annotation: Any, value: Any) -> w.Widget:  # noqa: ANN401
    label = label_of(name)
    if get_origin(annotation) is Literal:
        return w.Dropdown(options=[str(a) for a in get_args(annotation)], value=value, description=label)
    if annotation is bool:
        return w.Checkbox(value=value, description=label, indent=False)
    return w.Text(value=to_text(value), description=label, continuous_update=True)
