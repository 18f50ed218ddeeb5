"""After the push: the reference, a picture of the build, how to use the builder, report and export."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets as w
import yaml

from runbook_lib.redaction import redact
from runbook_lib.settings import Settings
from runbook_lib.steps.contract import REPOSITORY_ROOT
from runbook_lib.ui import markup
from runbook_lib.ui.buttons import button, link_to
from runbook_lib.ui.choices import public
from runbook_lib.ui.secret import CommandLines
from runbook_lib.ui.texts import t
from runbook_lib.ui.timeline import timeline

EXPORT = "guided.yaml"


class Outcome:
    """What the page shows once the push is proven; hidden before. `export` is called by its button."""

    def __init__(self, export: Callable[[], None]) -> None:
        self._push = w.HTML()
        self._picture = w.HTML()
        labels = {"copy_label": t("Copy"), "copied_label": t("Copied"), "all_label": t("Copy all")}
        self._commands = CommandLines(title=t("Use the builder from a laptop or from CI"), **labels)
        self._again = CommandLines(title=t("The same again, without a browser"), **labels)
        self._files = w.VBox([]).add_class("bkr-files")
        row = w.HBox([button(t("Export as papermill"), export)]).add_class("bkr-buttons")
        parts = [self._push, self._picture, self._commands, row, self._again, self._files]
        self.widget = w.VBox(parts).add_class("bkr-outcome")
        self.hide()

    def hide(self) -> None:
        """Not (or no longer) proven."""
        self.widget.layout.display = "none"

    def show(self, facts: dict[str, Any], commands: list[str]) -> None:
        """Show the push that the journal's `facts` tell of; `commands` are those of the push's plan."""
        reference, digest = str(facts.get("pushed_reference", "")), str(facts.get("pushed_digest", ""))
        self._push.value = (
            f'<div class="bkr-proven" role="status"><strong>{markup.esc(t("Pushed and proven"))}</strong>'
            f"<code>{markup.esc(reference)}</code><code>{markup.esc(digest)}</code></div>"
        )
        self._picture.value = timeline(list(facts.get("build_vertices") or []))
        self._commands.lines = [redact(line) for line in commands]
        self.widget.layout.display = ""

    def show_report(self, path: Path) -> None:
        """Offer the HTML report."""
        self._files.children = (_file_link(path, t("Open the report")), *self._files.children[1:])

    def show_export(self, path: Path) -> None:
        """Say where the parameters are, and how they are used."""
        file = shlex.quote(str(path))
        self._again.lines = [
            f"python -m runbook_lib plan --profile {file}",
            f"python -m runbook_lib run --profile {file}",
            f"RUNBOOK_PROFILE={file} papermill notebooks/01_install_pod.ipynb out.ipynb",
        ]
        first = self._files.children[:1] or (w.HTML(),)
        self._files.children = (*first, _file_link(path, t("Open the parameters")))


def exported(settings: Settings) -> str:
    """The YAML profile that reproduces what was done on the page; secrets stand in it by reference."""
    head = (
        "# Parameters of a guided run: python -m runbook_lib run --profile <this file>\n"
        "# Secrets are references: put the token where registry_credential says (env:NAME: export NAME).\n"
    )
    return head + yaml.safe_dump(public(settings), sort_keys=False, allow_unicode=True)


def _file_link(path: Path, text: str) -> w.Widget:
    """A link where JupyterLab can reach the file, else its path."""
    try:
        path.relative_to(REPOSITORY_ROOT)
    except ValueError:
        return w.HTML(f"{markup.esc(text)}: <code>{markup.esc(path)}</code>")
    return link_to(os.path.relpath(path, REPOSITORY_ROOT / "notebooks"), text)
