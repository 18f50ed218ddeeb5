"""The page's looks: JupyterLab's own variables, so that light and dark themes both work."""

from __future__ import annotations

from pathlib import Path

import ipywidgets as w

_FILE = Path(__file__).parent / "assets" / "page.css"


def style() -> w.Widget:
    """An invisible widget that carries the style sheet."""
    return w.HTML(f"<style>{_FILE.read_text(encoding='utf-8')}</style>", layout=w.Layout(display="none"))
