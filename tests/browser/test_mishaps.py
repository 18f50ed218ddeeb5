"""What goes wrong on the page: a wrong token, a bad image, a cancelled build, a reload, a dead kernel."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from canaries import forms_of, hits
from guided_lab import Lab
from on_sandbox import run_kubectl
from page_reader import SLOW, LostModelWarning, Reader
from playwright.sync_api import WebSocketRoute, expect

pytestmark = [pytest.mark.sandbox, pytest.mark.usefixtures("sandbox_docker_config")]
Readers = Callable[..., Reader]
INSTALL, LOGIN, PUSH = "Install the builder", "Log in to the registry", "Build, push and prove it"
_LOST = range(350, 385)  # of the models that the page opens, some of the last: they hold the others
CANARY = "wr0ng-c4nary:t0ken/with+signs"


@pytest.fixture
def opened(lab: Lab, read: Readers) -> Reader:
    """A page whose sandbox profile is filled in."""
    reader = read(lab)
    reader.open()
    reader.run_all()
    reader.press("Start the sandbox")
    expect(reader.guided.get_by_text("The sandbox is running.")).to_be_visible(timeout=SLOW)
    expect(reader.button("Run all steps")).to_be_enabled(timeout=SLOW)
    return reader


@pytest.fixture
def broken(sandbox_env: dict[str, str]) -> Iterator[str]:
    """A namespace that does not exist yet, also where an earlier run was cut short."""
    delete = ("delete", "namespace", "buildkit-broken", "--ignore-not-found")
    run_kubectl(sandbox_env, *delete, "--timeout=60s")
    yield "buildkit-broken"
    run_kubectl(sandbox_env, *delete, "--wait=false")


def test_a_wrong_token_then_the_right_one_by_keyboard_alone(lab: Lab, read: Readers, token: str) -> None:
    reader = read(lab)
    reader.open()
    reader.run_all()
    expect(reader.guided.locator("h1")).to_be_focused()
    passed = reader.tab_to("textbox", "auth token")
    assert passed[0] == "Try it in the sandbox"
    assert passed.index("Start the sandbox") < passed.index("namespace") < passed.index("registry")
    reader.page.keyboard.type(CANARY)
    reader.strike("Enter")
    reader.tab_to("button", "Run all steps")
    reader.picture("keyboard-focus")
    reader.strike("Enter")
    reader.expect_status(LOGIN, "failed")
    expect(reader.card(LOGIN).locator(".bkr-failure")).to_contain_text("Remedy")
    reader.picture("wrong-token", reader.card(LOGIN))
    expect(reader.button("Run all steps")).to_be_enabled(timeout=SLOW)
    reader.tab_to("textbox", "auth token", back=True)
    reader.page.keyboard.type(token)
    reader.strike("Enter")
    reader.tab_to("button", "Run all steps")
    reader.strike("Space")
    expect(reader.guided.get_by_text("Pushed and proven")).to_be_visible(timeout=SLOW)
    reader.expect_status(INSTALL, "verified again")
    reader.save()
    assert hits(lab.base, forms_of("sandboxns/developer", CANARY)) == []


def test_an_image_that_cannot_be_pulled_is_explained_and_mended(opened: Reader, broken: str) -> None:
    opened.fill("namespace", broken)
    opened.press("More about the target")
    create = opened.guided.get_by_label("create namespace", exact=True)
    create.uncheck()
    opened.open_card(INSTALL)
    card = opened.card(INSTALL)
    opened.press("Settings of this step", card)
    image = card.get_by_label("image", exact=True)
    good = image.input_value()
    image.fill("docker.io/moby/buildkit:v9.9.9 oops")
    expect(card.locator(".bkr-fault")).to_be_visible()
    opened.picture("invalid-while-typing", card)
    image.fill("docker.io/moby/buildkit:v9.9.9")
    expect(card.locator(".bkr-fault")).to_have_count(0)
    opened.press("Run this step", card)
    opened.expect_status(INSTALL, "failed")
    opened.picture("remedy-by-a-click", card)
    opened.press("Set create_namespace and run this step again", card)
    expect(card.locator(".bkr-failure")).to_contain_text("v9.9.9", timeout=SLOW)
    expect(create).to_be_checked()
    expect(card.locator(".bkr-failure")).to_contain_text("Remedy")
    opened.picture("image-cannot-be-pulled", card)
    _leads_to_the_notebook(opened)
    image.fill(good)
    opened.press("Run this step", card)
    opened.expect_status(INSTALL, "done")


def _leads_to_the_notebook(reader: Reader) -> None:
    """A push that lacks something names the notebook that brings it; the link opens beside the page."""
    reader.open_card(PUSH)
    reader.press("Run this step", reader.card(PUSH))
    reader.expect_status(PUSH, "failed")
    reader.picture("link-to-the-notebook", reader.card(PUSH))
    link = reader.card(PUSH).get_by_role("link", name=re.compile(r"^Open 0\d_\w+\.ipynb$"))
    notebook = link.inner_text().removeprefix("Open ")
    reader.click(link)
    opened = reader.page.locator("#jp-main-dock-panel .lm-TabBar-tab.lm-mod-current")
    expect(opened).to_contain_text(notebook)
    reader.click(reader.page.locator("#jp-main-dock-panel .lm-TabBar-tab", has_text="00_start_here.ipynb"))
    expect(reader.guided).to_be_visible()


def test_cancel_reload_and_kernel_restart_in_mid_build(opened: Reader, tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    slow.mkdir()
    (slow / "Dockerfile").write_text("FROM docker.io/library/busybox\nRUN echo begun && sleep 60\n")
    opened.open_card(PUSH)
    card = opened.card(PUSH)
    opened.press("Settings of this step", card)
    folder = card.get_by_label("context dir", exact=True)
    folder.fill(str(slow))
    opened.press("Run all steps")
    bar = card.locator(".bkr-bar-moving", has_text="sleep 60")
    expect(bar).to_be_visible(timeout=SLOW)
    opened.picture("build-in-progress", card)
    card.get_by_role("button", name="Cancel").click()
    opened.expect_status(PUSH, "interrupted", timeout=15_000)

    opened.press("Run this step", card)
    expect(bar).to_be_visible(timeout=SLOW)
    opened.page.reload()
    opened.open()
    opened.run_all()
    opened.expect_status(PUSH, "running", timeout=15_000)
    expect(bar).to_be_visible(timeout=15_000)

    opened.restart_and_run_all()
    expect(opened.guided.get_by_text("A run was cut short here.")).to_be_visible(timeout=SLOW)
    opened.expect_status(PUSH, "unfinished")
    expect(opened.guided.locator("h1")).to_be_in_viewport()
    opened.picture("after-kernel-restart")
    opened.press("Settings of this step", card)
    expect(folder).to_have_value(str(slow))
    folder.fill("")
    opened.press("Run all steps")
    expect(opened.guided.get_by_text("Pushed and proven")).to_be_visible(timeout=SLOW)
    opened.expect_status(INSTALL, "verified again")


def test_a_page_that_lost_some_of_its_parts_comes_after_a_reload(lab: Lab, read: Readers) -> None:
    reader = read(lab)
    opened: list[int] = []

    def between(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            text = message if isinstance(message, bytes) else message.encode()
            if b'"comm_open"' in text:
                opened.append(len(opened))
                if opened[-1] in _LOST:
                    return
            socket.send(message)

        server.on_message(pass_on)

    reader.page.route_web_socket("**/channels**", between)
    reader.open()
    with pytest.warns(LostModelWarning, match="widget model not found"):
        reader.run_all()
    assert opened[-1] > _LOST.stop
    expect(reader.button("Run all steps")).to_be_visible()
    assert reader.nameless() == []
