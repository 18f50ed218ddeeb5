"""A password field whose value is never part of any widget's state.

The browser sends what was typed as a custom message and empties the field at once. State is what gets
saved with a notebook and synchronised between views; a message is neither. See docs/decisions.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

_ASSETS = Path(__file__).parent / "assets"


class SecretField(anywidget.AnyWidget):
    """Calls `on_secret(text)` when something was typed; keeps nothing. `note` is shown beneath."""

    _esm = _ASSETS / "secret.js"
    label = traitlets.Unicode("").tag(sync=True)
    placeholder = traitlets.Unicode("").tag(sync=True)
    note = traitlets.Unicode("").tag(sync=True)

    def __init__(self, on_secret: Callable[[str], None], **traits: str) -> None:
        super().__init__(**traits)
        self._on_secret = on_secret
        self.on_msg(self._receive)

    def _receive(self, _widget: object, content: Any, _buffers: object) -> None:  # noqa: ANN401
        value = content.get("secret") if isinstance(content, dict) else None
        if isinstance(value, str) and value:
            self._on_secret(value)


class CommandLines(anywidget.AnyWidget):
    """Shell lines, each with a button that copies it, and one that copies all."""

    _esm = _ASSETS / "commands.js"
    title = traitlets.Unicode("").tag(sync=True)
    lines = traitlets.List(traitlets.Unicode()).tag(sync=True)
    copy_label = traitlets.Unicode("Copy").tag(sync=True)
    copied_label = traitlets.Unicode("Copied").tag(sync=True)
    all_label = traitlets.Unicode("Copy all").tag(sync=True)
