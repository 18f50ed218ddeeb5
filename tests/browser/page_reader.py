"""A person at the page: every click, key and paste is counted."""

from __future__ import annotations

import time
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
SLOW = 90_000  # milliseconds: the longest that any single thing may take here


class Reader:
    """Drives one browser page; `actions` counts what a person would have done."""

    def __init__(self, page: Page, lab: Lab) -> None:
        self.page, self.lab = page, lab
        self.actions = 0
        self.began = 0.0
        self.dropped = False
        self.errors: list[str] = []
        page.set_default_timeout(20_000)
        page.on("console", lambda m: self._said(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: self._said(str(e)))

    def _said(self, text: str) -> None:
        if "ERR_NETWORK_CHANGED" in text:
            self.dropped = True
        elif not self.dropped and not any(q in text for q in QUIET):
            self.errors.append(text)

    def open(self, notebook: str = "00_start_here.ipynb") -> None:
        """Chromium drops what it is loading when an interface of the host comes or goes, as with each Pod
        of a sandbox; then the page is loaded again."""
        for _ in range(5):
            self.page.goto(self.lab.address(notebook))
            if self._loaded():
                return
        raise AssertionError(f"JupyterLab has not loaded: {self.errors}")

    def _loaded(self) -> bool:
        status = self.page.locator("#jp-main-statusbar", has_text="| Idle")
        for _ in range(200):
            if status.is_visible() and self.page.locator(".jp-Notebook").first.is_visible():
                return True
            if self.dropped:
                self.dropped = False
                return False
            self.page.wait_for_timeout(200)
        return False

    def run_all(self) -> None:
        self.menu("Run", "Run All Cells")
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
