"""Parameters reach the settings alike from options, variables and a YAML profile; bad ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from runbook_lib.run import options
from runbook_lib.run.cli import _parser, main
from runbook_lib.run.folder import runs_dir
from runbook_lib.settings import Settings
from runbook_lib.settings_sources import load
from runbook_lib.steps.contract import REPOSITORY_ROOT, run_dir_of

VALUES = {
    "namespace": "team-a",
    "ready_timeout": 60.0,
    "keep_runs": 7,
    "create_namespace": True,
    "tags": ["one", "two"],
    "limits": {"memory": "4Gi"},
}
TEXTS = {
    "namespace": "team-a",
    "ready_timeout": "60",
    "keep_runs": "7",
    "create_namespace": "true",
    "tags": "one,two",
    "limits": "{memory: 4Gi}",
}


def _from_options(words: list[str]) -> Settings:
    arguments, rest = _parser().parse_known_args(["run", *words])
    options.refuse_rest(rest)
    return options.settings_of(arguments)


def test_options_environment_and_yaml_agree(tmp_path: Path) -> None:
    words = [w for k, v in TEXTS.items() for w in (f"--{k.replace('_', '-')}", v)]
    underscored = [w for k, v in TEXTS.items() for w in (f"--{k}", v)]
    profile = tmp_path / "profile.yaml"
    profile.write_text(yaml.safe_dump(VALUES))
    expected = load(VALUES, environ={})
    assert _from_options(words) == expected
    assert _from_options(underscored) == expected
    assert _from_options(["--profile", str(profile)]) == expected
    assert load(environ={f"RUNBOOK_{k.upper()}": v for k, v in TEXTS.items()}) == expected


def test_a_switch_needs_no_value() -> None:
    assert _from_options(["--create-namespace"]).create_namespace is True


def test_help_shows_choices_as_they_are_typed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for words in ("--mode privileged|userns|rootless", "--kind pod|deployment", "--language en|zh_CN"):
        assert words in text
        option, _, choices = words.partition(" ")
        for choice in choices.split("|"):
            name = option.removeprefix("--")
            assert getattr(_from_options([option, choice]), name) == choice
    assert "--namespace TEXT" in text


def test_the_help_of_run_dir_tells_both_defaults_as_they_are() -> None:
    [text] = [row[3] for row in options.table() if row[0] == "run_dir"]
    for_notebooks, for_the_command_line = text.split(";")
    assert for_notebooks.endswith(f"empty: {run_dir_of(Settings()).relative_to(REPOSITORY_ROOT)}")
    assert for_the_command_line.endswith(f"empty: {runs_dir(Settings()).relative_to(REPOSITORY_ROOT)}")


def test_every_parameter_has_an_option_and_a_row() -> None:
    names = set(Settings.model_fields)
    assert {row[0] for row in options.table()} == names
    destinations = vars(_parser().parse_args(["run"]))
    assert {f"parameter_{n}" for n in names} <= set(destinations)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--pasword", "hunter2-secret"], "pasword"),
        (["run", "--namespace", "Not_A_Label"], "namespace"),
        (["run", "--registry-credential", "hunter2-secret"], "registry_credential"),
        (["run", "hunter2-secret"], "no option"),
        (["run", "--steps", "nope"], "nope"),
        (["run", "--ready-timeout", "soon"], "ready_timeout"),
    ],
)
def test_bad_words_end_with_2_and_never_echo_a_secret(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "hunter2" not in error


def test_parameters_lists_type_default_and_variable(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parameters"]) == 0
    text = capsys.readouterr().out
    assert "type privileged|userns|rootless; default privileged; variable RUNBOOK_MODE" in text
    assert "type en|zh_CN; default –; variable RUNBOOK_LANGUAGE" in text
