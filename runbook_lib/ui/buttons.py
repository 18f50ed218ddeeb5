"""Small widgets that the page is put together from."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as w

from runbook_lib.ui.texts import t


def button(text: str, press: Callable[[], None], *, style: str = "") -> w.Button:
    """A button; `style` is "" or primary."""
    made = w.Button(description=text, button_style=style, layout=w.Layout(width="auto"))
    made.on_click(lambda _: press())
    return made


def switch_in(
    body: w.Widget, title: str, *, opened: bool = False, fill: Callable[[], w.Widget] | None = None
) -> w.ToggleButton:
    """A toggle that folds `body` away; what is folded is out of reach for the keyboard, too.

    `fill` makes what stands in `body`, when it is opened for the first time: each part of a page is a message
    to the browser, and most of the forms are never looked at.
    """
    toggle = w.ToggleButton(value=opened, description=title, layout=w.Layout(width="auto"))
    toggle.add_class("bkr-toggle")

    def show(_: object = None) -> None:
        if fill is not None and toggle.value and not body.children:
            body.children = (fill(),)
        body.layout.display = "" if toggle.value else "none"
        # The caret is drawn by the style sheet: an icon font's letter would be read out as part of the name.
        (toggle.add_class if toggle.value else toggle.remove_class)("bkr-open")
        toggle.tooltip = t("Fold") if toggle.value else t("Unfold")

    toggle.observe(show, names="value")
    show()
    return toggle


def fold(title: str, fill: Callable[[], w.Widget]) -> w.Widget:
    """A title that opens and closes what `fill` makes."""
    body = w.VBox()
    return with_switch(switch_in(body, title, fill=fill), body)


def with_switch(toggle: w.ToggleButton, body: w.Widget) -> w.Widget:
    """A body under a toggle that its caller keeps hold of."""
    return w.VBox([toggle, body]).add_class("bkr-fold")


def link_to(notebook: str, text: str) -> w.Widget:
    """A link that JupyterLab opens beside this notebook. It must be markdown for that; both are our own."""
    bundle = {"text/markdown": f"[{text}]({notebook})", "text/plain": text}
    shown = ({"output_type": "display_data", "data": bundle, "metadata": {}},)
    return w.Output(outputs=shown).add_class("bkr-link")
