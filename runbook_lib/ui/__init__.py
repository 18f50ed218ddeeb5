"""The guided page and the step panels: widgets over the steps, with no step logic of their own.

Nothing heavy is imported before one of the functions is called: headless notebooks import this, too.
"""

from __future__ import annotations

import os
from typing import Any

from runbook_lib.credentials import forbid_core_files, in_live_kernel
from runbook_lib.steps.contract import Step

_NOBODY = "The panel shows only where somebody watches; this run goes on without it."


class _Line:
    """What stands in for a page where nobody could click: one line of text."""

    def __repr__(self) -> str:
        return _NOBODY


def _watched() -> bool:
    """Whether somebody can click: in a kernel that takes input, or in Voila's, whose page has no cells."""
    return in_live_kernel() or os.environ.get("SERVER_SOFTWARE", "").startswith("voila/")


def guide(language: str = "", sandbox: str = "") -> Any:  # noqa: ANN401
    """The guided page; in one kernel always the same one, so that a reloaded browser finds it at work.

    `language`: en or zh_CN; empty: JupyterLab's own, else the system's. `sandbox`: the instance that the
    page starts; empty: $SANDBOX_INSTANCE, else default.
    """
    if not _watched():
        return _Line()
    forbid_core_files()  # a token that is typed on the page is in this process
    from runbook_lib.ui.page import the_page

    return the_page(language, sandbox)


def panel(step: Step, language: str = "") -> Any:  # noqa: ANN401
    """A small panel over one step, with the parameters of its notebook; a line of text when headless.

    `language`: en or zh_CN; empty: the notebook's parameter of that name, else as for the page.
    """
    if not _watched():
        return _Line()
    from runbook_lib.ui.panel import panel_of

    return panel_of(step, language)
