"""A person at the page: every click, key and paste is counted."""

from __future__ import annotations

import re
import time
import warnings
from pathlib import Path

from guided_lab import Lab
from playwright.sync_api import Locator, Page, expect

from runbook_lib.steps.contract import REPOSITORY_ROOT

SCREENSHOTS = REPOSITORY_ROOT / "build" / "screenshots"
CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
QUIET = (  # said by JupyterLab itself, on any notebook
    "Workspace", "404", "ResizeObserver", "CodeMirror", "preloaded using link preload", "translation",
)  # fmt: skip
_LOST_MODEL = "widget model not found"
_CONTROL = re.compile(r"\s*- '?(button|textbox|combobox|checkbox|radio|link|progressbar|log)\b")
_NAMED = re.compile(r"""\s*- '?\w+ ["/]""")
_FOCUSED = """() => {
  const e = document.activeElement, look = getComputedStyle(e), box = e.getBoundingClientRect();
  const page = document.querySelector(".bkr-page");
  return {
    name: e.labels?.[0]?.innerText || e.innerText || e.className, inside: page.contains(e),
    outline: `${look.outlineStyle} ${look.outlineWidth}`,
    top: Math.round(box.top - page.getBoundingClientRect().top + box.height / 2),
  };
}"""
SLOW = 90_000  # milliseconds: the longest that any single thing may take here


class LostModelWarning(UserWarning):
    """JupyterLab did not show the page at first; told in the tests' summary, which does not fail by it."""


class Reader:
    """Drives one browser page; `actions` counts what a person would have done."""

    def __init__(self, page: Page, lab: Lab) -> None:
        self.page, self.lab = page, lab
        self.actions = 0
        self.began = 0.0
        self.errors: list[str] = []
        page.set_default_timeout(20_000)
        page.on("console", lambda m: self._said(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: self._said(str(e)))

    def _said(self, text: str) -> None:
        if not any(q in text for q in QUIET):
            self.errors.append(text)

    def open(self, notebook: str = "00_start_here.ipynb") -> None:
        """Load a notebook in JupyterLab and wait until its kernel is idle."""
        self.page.goto(self.lab.address(notebook))
        self._await_kernel()

    def _await_kernel(self) -> None:
        expect(self.page.locator("#jp-main-statusbar", has_text="| Idle")).to_be_visible(timeout=SLOW)
        expect(self.page.locator(".jp-Notebook").first).to_be_visible(timeout=SLOW)

    def run_all(self) -> None:
        """Run all cells and wait for the page; where JupyterLab lost parts of it, do as the notebook says."""
        self.menu("Run", "Run All Cells")
        try:
            expect(self.guided).to_be_visible(timeout=SLOW / 2)
        except AssertionError:
            # ipywidgets' front end at times misses some of the models that a cell opens while it starts.
            if not self.errors or not all(_LOST_MODEL in text for text in self.errors):
                raise
            warnings.warn(f"the page was reloaded: {self.errors}", LostModelWarning, stacklevel=2)
            self.errors.clear()
            self.page.reload()
            self._await_kernel()
            self.menu("Run", "Run All Cells")
            expect(self.guided).to_be_visible(timeout=SLOW)

    def run_up_to(self, line: str) -> None:
        """Run the cell that holds this line and those above it, and wait for its page."""
        self.click(self.page.locator(".jp-CodeCell .cm-line", has_text=line).first)
        self.menu("Run", "Run All Above Selected Cell")
        self.menu("Run", "Run Selected Cell and Do not Advance")
        expect(self.guided).to_be_visible(timeout=SLOW)

    def menu(self, menu: str, entry: str) -> None:
        self.click(self.page.locator(".lm-MenuBar-itemLabel", has_text=menu).first)
        self.click(self.page.locator(".lm-Menu-itemLabel").get_by_text(entry, exact=True))

    def click(self, target: Locator) -> None:
        self.actions += 1
        if not self.began:
            self.began = time.monotonic()
        target.click()

    def restart_and_run_all(self) -> None:
        self.menu("Kernel", "Restart Kernel and Run All Cells…")
        self.click(self.page.locator(".jp-Dialog").locator("button.jp-mod-accept"))

    def button(self, name: str) -> Locator:
        return self.guided.get_by_role("button", name=name, exact=True).first

    def press(self, name: str, within: Locator | None = None) -> None:
        self.click((within or self.guided).get_by_role("button", name=name, exact=True).first)

    def give_token(self, token: str) -> None:
        self.actions += 1
        field = self.guided.locator("input[type=password]")
        field.fill(token)
        field.press("Enter")
        expect(field).to_have_value("")

    def fill(self, label: str, text: str) -> None:
        self.actions += 1
        self.guided.get_by_label(label, exact=True).first.fill(text)

    @property
    def guided(self) -> Locator:
        return self.page.locator(".bkr-page").last

    def card(self, title: str) -> Locator:
        return self.guided.locator(".bkr-card", has=self.page.get_by_role("button", name=title, exact=True))

    def open_card(self, title: str) -> None:
        body = self.card(title).locator(".bkr-card-body")
        if not body.is_visible():
            self.press(title)

    def expect_status(self, title: str, status: str, timeout: float = SLOW) -> None:
        chip = self.card(title).locator(".bkr-card-title .bkr-chip")
        expect(chip).to_contain_text(status, timeout=timeout)

    def tab_to(self, role: str, name: str, *, back: bool = False) -> list[str]:
        """Go by Tab (or back by Shift+Tab) to a control; returns the names that were passed.

        On the way every stop must show that it has the focus, and lie below the last one, or beside it.
        """
        wanted = self.guided.get_by_role(role, name=name, exact=True).first  # type: ignore[arg-type]
        passed: list[str] = []
        last = 0.0
        for _ in range(40):
            self.page.keyboard.press("Shift+Tab" if back else "Tab")
            stop = self.page.evaluate(_FOCUSED)
            assert stop["inside"], f"the focus left the page after {passed}"
            assert stop["outline"] == "solid 2px", f"no visible focus on {stop['name']}: {stop['outline']}"
            assert not passed or (stop["top"] <= last if back else stop["top"] >= last), (
                passed,
                stop["name"],
            )
            last = stop["top"]
            passed.append(stop["name"])
            if wanted.evaluate("e => e === document.activeElement"):
                return passed
        raise AssertionError(f"{name} was not reached: {passed}")

    def strike(self, *keys: str) -> None:
        """Keys, one after the other, wherever the focus is."""
        self.actions += 1
        for key in keys:
            self.page.keyboard.press(key)

    def nameless(self) -> list[str]:
        """The controls of the page for which a screen reader has no name."""
        lines = self.guided.aria_snapshot().splitlines()
        return [line for line in lines if _CONTROL.match(line) and not _NAMED.match(line)]

    def save(self) -> None:
        self.menu("File", "Save Notebook")
        expect(self.page.locator("#jp-main-statusbar")).not_to_contain_text("Saving", timeout=SLOW)

    def picture(self, name: str, target: Locator | None = None) -> None:
        """Photograph the window, or `target` whole: for that the window must be tall."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = str(SCREENSHOTS / f"{name}.png")
        if target is None:
            self.page.screenshot(path=path)
            return
        before = self.page.viewport_size
        assert before is not None
        tall = round(target.evaluate("e => e.getBoundingClientRect().height")) + 400
        self.page.set_viewport_size({"width": before["width"], "height": max(tall, before["height"])})
        target.screenshot(path=path)
        self.page.set_viewport_size(before)
