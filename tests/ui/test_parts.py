"""The page's parts without a browser: what is typed, what is shown, what runs, what is kept."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest
import yaml
from on_sandbox import INSTANCE

from runbook_lib import credentials
from runbook_lib.errors import InvalidParameterError, RunbookError, SettingsError
from runbook_lib.journal import Journal
from runbook_lib.plan import Action, Change, Plan
from runbook_lib.progress import Event
from runbook_lib.settings import Settings, fields_of
from runbook_lib.settings_sources import default_of, load
from runbook_lib.steps.catalog import DEFAULT_STEPS
from runbook_lib.ui import children, guide, markup, registry_box, target
from runbook_lib.ui.choices import Choices, public
from runbook_lib.ui.fields import Field, to_text
from runbook_lib.ui.live import Live
from runbook_lib.ui.outcome import exported
from runbook_lib.ui.page import Page, own_fields
from runbook_lib.ui.panel import own_first
from runbook_lib.ui.registry_box import VARIABLE, RegistryBox
from runbook_lib.ui.sandbox_profile import FILLED
from runbook_lib.ui.step_card import Presses, StepCard, safe_remedy
from runbook_lib.ui.timeline import timeline
from runbook_lib.ui.work import Worker

EVIL = "<img src=x onerror=alert(1)>\"'&"
CANARY = "page-c4nary/with+signs="


def test_typing_is_checked_at_once_and_a_fault_stops_everything() -> None:
    choices = Choices()
    assert choices.type_in("registry", "iad.ocir.io") == ""
    assert "scheme" in choices.type_in("registry", "https://iad.ocir.io")
    with pytest.raises(SettingsError, match="scheme"):
        choices.settings()
    assert choices.type_in("registry", "phx.ocir.io") == ""
    assert choices.settings().registry == "phx.ocir.io"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("tags", "a, b", ["a", "b"]),
        ("platforms", "", []),
        ("requests", '{"cpu": "1"}', {"cpu": "1"}),
        ("build_args", "", {}),
        ("build_timeout", "60", 60.0),
        ("run_image", True, True),
        ("mode", "rootless", "rootless"),
    ],
)
def test_every_kind_of_field_is_read_and_written_back(name: str, text: str | bool, value: object) -> None:
    choices = Choices()
    field = Field(choices, name)
    field.control.value = text
    assert choices.settings().model_dump(mode="json")[name] == value
    assert field.control.value == text, "what is being typed is left alone"
    if not isinstance(value, bool):
        assert Choices().type_in(name, to_text(value)) == ""


def test_two_fields_of_one_parameter_follow_each_other() -> None:
    choices = Choices()
    one, two = Field(choices, "namespace"), Field(choices, "namespace")
    one.control.value = "team"
    assert two.control.value == "team"
    one.control.value = "Not A Name"
    assert two.control.value == "team"
    assert "bkr-fault" in one.widget.children[1].value


def test_every_parameter_of_the_four_steps_stands_on_the_page_once() -> None:
    above = ["context", "namespace", *target.MORE, *registry_box.FIELDS, *registry_box.MORE]
    shown = above + [name for step in DEFAULT_STEPS for name in own_fields(step)]
    assert len(shown) == len(set(shown))
    assert set(shown) == {name for step in DEFAULT_STEPS for name in fields_of(step)} - {"language"}


def test_nothing_of_the_sandbox_goes_with_the_reader_to_another_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNBOOK_RUN_DIR", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    page = Page("en", "any")
    filled = {
        "kubeconfig": "/sandbox/kubeconfig", "context": "sandbox", "registry": "localhost:5000",
        "registry_ca": "/sandbox/ca.pem", "registry_username": "sandboxns/developer",
        "registry_credential": "file:/sandbox/token", "docker_config": "/sandbox/docker",
        "mirrors": {"docker.io": ["localhost:5001"]}, "kubectl": "/sandbox/kubectl",
        "namespace": "buildkit-demo", "create_namespace": True,
    }  # fmt: skip
    page.choices.update(filled)
    page._target.profile.value = "other"
    assert {name: page.choices.get(name) for name in filled} == {n: default_of(n) for n in filled}
    page.choices.update({"registry": "iad.ocir.io"})
    page._target.profile.value = "oke"
    assert page.choices.get("registry") == "iad.ocir.io", "what the reader typed stays"


@pytest.mark.sandbox
def test_every_name_that_the_sandbox_fills_in_is_cleared(sandbox_env: dict[str, str]) -> None:
    assert set(children.sandbox_values(INSTANCE[1])) <= set(FILLED)


def test_nothing_from_outside_becomes_markup() -> None:
    finding = {"status": "fail", "subject": EVIL, "message": EVIL, "evidence": EVIL, "remedy": EVIL}
    change = {"action": EVIL, "subject": EVIL, "diff": f"+{EVIL}"}
    live = Live()
    live.take(Event("sha256:1", f"{EVIL}: {EVIL}", done=True))
    live.take(Event("pod", EVIL))
    vertices = [{"name": EVIL, "begin": 0.0, "seconds": 1.0}]
    for text in (
        markup.findings([finding]), markup.changes([change]), markup.failure({"what": EVIL, "remedy": EVIL}),
        markup.chip(EVIL), live.bars(), live.log(), timeline(vertices),
    ):  # fmt: skip
        assert "<img" not in text
        assert "&lt;img" in text


def test_a_secret_that_was_learnt_is_blanked_in_what_is_shown() -> None:
    credentials.keep("SHOWN_BY_TEST", CANARY)
    assert CANARY not in markup.failure({"what": f"the server said {CANARY}"})


def test_a_cached_vertex_is_marked_and_what_never_ended_stands_still() -> None:
    live = Live()
    live.take(Event("sha256:1", "FROM x: CACHED", done=True))
    live.take(Event("sha256:2", "RUN y"))
    assert "bkr-bar-cached" in live.bars()
    assert "bkr-bar-moving" in live.bars()
    live.settle()
    assert "bkr-bar-moving" not in live.bars()
    assert "bkr-bar-stopped" in live.bars()


def test_a_token_is_in_no_widget_state_and_not_in_the_environment() -> None:
    choices = Choices()
    box = RegistryBox(choices)
    box.secret._receive(box.secret, {"secret": CANARY}, [])
    assert choices.get("registry_credential") == f"env:{VARIABLE}"
    assert choices.settings().credentials[0].resolve().reveal() == CANARY
    assert CANARY not in json.dumps(box.secret.get_state(), default=str)
    assert not any(CANARY in value for value in os.environ.values())
    assert box.renewed


def test_a_second_press_does_nothing_and_a_defect_is_shown() -> None:
    gate, failures = threading.Event(), []
    worker = Worker(lambda: None, failures.append)
    runs: list[int] = []

    def work() -> None:
        runs.append(1)
        gate.wait(5)
        raise ZeroDivisionError("boom")

    assert worker.start(work)
    assert not worker.start(work)
    gate.set()
    _wait(lambda: not worker.busy)
    assert len(runs) == 1
    assert isinstance(failures[0], RunbookError)
    assert "boom" in failures[0].what


def test_a_wish_to_cancel_that_comes_early_is_granted() -> None:
    worker, asked, gate = Worker(lambda: None, lambda _: None), threading.Event(), threading.Event()

    def work() -> None:
        gate.wait(5)
        worker.on_cancel(asked.set)

    worker.start(work)
    worker.cancel()
    gate.set()
    assert asked.wait(5)


def test_the_exported_profile_gives_the_same_settings(tmp_path: Path) -> None:
    settings = Settings(
        registry="iad.ocir.io", registry_credential=f"env:{VARIABLE}", requests={"cpu": "1"}, tags=["a"],
        run_dir=str(tmp_path),
    )  # fmt: skip
    path = tmp_path / "guided.yaml"
    path.write_text(exported(settings))
    assert load({}, str(path), environ={}) == settings.model_copy(update={"run_dir": ""})
    assert set(yaml.safe_load(path.read_text())) == set(public(settings))


def test_the_report_of_a_page_is_written_by_a_process(tmp_path: Path) -> None:
    with pytest.raises(RunbookError, match="no such run"):
        children.write_report(tmp_path)
    Journal(tmp_path).write("install_pod", "run", "started", parameters={})
    report = children.write_report(tmp_path)
    assert report == tmp_path / "report.html"
    assert "Install the builder" in report.read_text()


def test_a_sandbox_that_never_was_up_is_explained() -> None:
    with pytest.raises(RunbookError, match="no state"):
        children.sandbox_values("never-was-up")


def test_results_that_were_found_with_other_parameters_go_with_the_next_action() -> None:
    choices = Choices()
    card = StepCard("operate", choices, Presses(lambda *_: None, lambda _: None, lambda: None), ["prune"])
    plan = Plan([Change(Action.DELETE, "cache of Pod x/y", "-1 kB  old", ("prune it",))])
    card.begin()
    card.watch("plan", plan)
    card.begin()
    assert "cache of Pod x/y" in card._results.value
    assert card._commands.lines == ["prune it"]
    choices.type_in("upgrade_to", "v9.9.9")
    card.begin()
    assert card._results.value == ""
    assert card._commands.lines == []


def test_a_panel_shows_the_parameters_first_that_it_is_for() -> None:
    assert own_first("operate")[:2] == ["upgrade_to", "probe_run"]
    assert set(own_first("operate")) == set(fields_of("operate")) - {"language"}


def test_only_switches_are_set_by_a_click() -> None:
    assert safe_remedy("set create_namespace, or name one that exists") == "create_namespace"
    assert safe_remedy("set node_selector to managed nodes") == ""
    assert safe_remedy("") == ""


def test_a_headless_notebook_gets_a_line_instead_of_a_page() -> None:
    assert "goes on without it" in repr(guide())


def test_an_impossible_value_is_named() -> None:
    with pytest.raises(InvalidParameterError, match="mode"):
        Choices({"mode": "none"}).settings()


def _wait(condition: object, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)
