"""What the reader has chosen so far: plain values by parameter name, each checked as it is typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runbook_lib.errors import SettingsError
from runbook_lib.settings import Settings
from runbook_lib.settings_sources import default_of, from_text, validate


class Choices:
    """Values that differ from their defaults, the faults in what was typed, and who wants to know."""

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        self.values: dict[str, Any] = dict(values or {})
        self.faults: dict[str, str] = {}
        self._watchers: list[Callable[[str], None]] = []

    def watch(self, watcher: Callable[[str], None]) -> None:
        """Call `watcher(name)` whenever a value or a fault changes."""
        self._watchers.append(watcher)

    def get(self, name: str) -> Any:  # noqa: ANN401
        """The chosen value, else the default."""
        return self.values[name] if name in self.values else default_of(name)

    def type_in(self, name: str, text: str | bool) -> str:
        """Take what was typed into the field of `name`; returns the fault, or ""."""
        try:
            value = read(name, text)
            validate({name: value})
        except SettingsError as e:
            self.faults[name] = e.what.removeprefix(f"{name}: ")
        else:
            self.faults.pop(name, None)
            self._put(name, value)
        self._tell(name)
        return self.faults.get(name, "")

    def update(self, values: Mapping[str, Any]) -> None:
        """Take several values at once (a profile, a journal); their faults are forgotten."""
        for name, value in values.items():
            self.faults.pop(name, None)
            self._put(name, value)
        for name in values:
            self._tell(name)

    def settings(self) -> Settings:
        """The settings as chosen.

        Raises:
            SettingsError: a field holds a fault, or the values do not go together.
        """
        for name, fault in self.faults.items():
            raise SettingsError(fault, where=f"parameter {name}", remedy="correct the marked field")
        return validate(self.values)

    def _put(self, name: str, value: Any) -> None:  # noqa: ANN401
        if value == default_of(name):
            self.values.pop(name, None)
        else:
            self.values[name] = value

    def _tell(self, name: str) -> None:
        for watcher in self._watchers:
            watcher(name)


def read(name: str, text: str | bool) -> Any:  # noqa: ANN401
    """The value that the text of a field means; an empty field of a list or mapping is an empty one.

    Raises:
        InvalidParameterError: the text cannot be read as the parameter's type.
    """
    if isinstance(text, bool):
        return text
    default = default_of(name)
    if not text.strip() and isinstance(default, list | dict):
        return type(default)()
    return from_text(name, text if isinstance(default, str) else text.strip())


def public(settings: Settings) -> dict[str, Any]:
    """The values that differ from the defaults, without the run folder, which belongs to one machine."""
    dumped = settings.model_dump(mode="json", exclude={"run_dir"})
    return {name: value for name, value in dumped.items() if value != default_of(name)}
