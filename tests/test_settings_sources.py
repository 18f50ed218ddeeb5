"""The same names and values from every source, and who wins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runbook_lib.errors import InvalidParameterError, ProfileError, UnknownParameterError
from runbook_lib.settings import STEPS, Settings, fields_of
from runbook_lib.settings_sources import default_of, from_notebook, from_text, load


def test_explicit_beats_environment_beats_profile_beats_default(tmp_path: Path) -> None:
    profile = tmp_path / "profile.yaml"
    profile.write_text("context: from-yaml\nnamespace: from-yaml\nname: from-yaml\n")
    environ = {"RUNBOOK_NAMESPACE": "from-env", "RUNBOOK_NAME": "from-env", "RUNBOOK_PROFILE": str(profile)}
    settings = load({"name": "explicit"}, environ=environ)
    assert (settings.context, settings.namespace, settings.name) == ("from-yaml", "from-env", "explicit")
    assert settings.kind == "pod"


def test_environment_text_becomes_the_fields_type() -> None:
    environ = {
        "RUNBOOK_MIRRORS": '{"docker.io": ["10.0.0.1:5000"]}',
        "RUNBOOK_TAGS": "a, b",
        "RUNBOOK_RUN_IMAGE": "true",
        "RUNBOOK_READY_TIMEOUT": "60",
    }
    settings = load(environ=environ)
    assert settings.mirrors == {"docker.io": ["10.0.0.1:5000"]}
    assert settings.tags == ["a", "b"]
    assert settings.run_image is True
    assert settings.ready_timeout == 60.0


@pytest.mark.parametrize(
    ("name", "text"), [("run_image", "maybe"), ("ready_timeout", "x"), ("keep_runs", "1.5"), ("tags", "[")]
)
def test_text_of_the_wrong_type_is_refused(name: str, text: str) -> None:
    with pytest.raises(InvalidParameterError, match="not a") as caught:
        from_text(name, text)
    assert name in caught.value.where


def test_an_unknown_environment_name_is_refused() -> None:
    with pytest.raises(UnknownParameterError, match="namespac"):
        load(environ={"RUNBOOK_NAMESPAC": "x"})


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\ncontext: *b\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BOMB, "aliases"),
        ("- a\n- b\n", "mapping"),
        ("context: [", "valid YAML"),
        ("1: x\n", "mapping"),
        ("x" * 1_000_001, "larger"),
    ],
    ids=["bomb", "list", "syntax", "number", "huge"],
)
def test_a_bad_profile_is_refused(tmp_path: Path, text: str, says: str) -> None:
    profile = tmp_path / "p.yaml"
    profile.write_text(text)
    with pytest.raises(ProfileError, match=says) as caught:
        load(profile=str(profile), environ={})
    assert caught.value.where == str(profile)
    assert caught.value.remedy


def test_a_missing_profile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="cannot read"):
        load(profile=str(tmp_path / "none.yaml"), environ={})


def test_an_injected_default_beats_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOK_MODE", "rootless")
    plain = {"mode": "privileged", "In": ["", 'mode = "privileged"']}
    injected = {
        "mode": "privileged",
        "In": ["", 'mode = "privileged"', '# Parameters\nmode = "privileged"\n'],
    }
    assert from_notebook(plain).mode == "rootless"
    assert from_notebook(injected).mode == "privileged"


def test_a_notebook_refuses_a_name_papermill_would_only_warn_about() -> None:
    with pytest.raises(UnknownParameterError, match="did you mean context"):
        from_notebook({"contxt": "x", "In": ["# Parameters\ncontxt = 'x'\n"]})


def test_a_tuple_and_a_path_are_what_they_mean() -> None:
    assert from_notebook({"tags": ("v1", "v2")}).tags == ["v1", "v2"]
    assert from_notebook({"platforms": ("linux/amd64",)}).platforms == ["linux/amd64"]
    assert from_notebook({"bin_dir": Path("a/b")}).bin_dir == "a/b"


def test_what_is_imported_under_a_parameters_name_sets_none() -> None:
    named = {"requests": json, "image": from_text, "registry": Settings, "context": print}
    settings = from_notebook(named)
    assert settings == load({}, environ={})


def test_a_cell_that_was_mended_and_run_again_counts() -> None:
    cells = ["# Parameters\nnamespace =\n", '# Parameters\nnamespace = "team"\n']
    assert from_notebook({"namespace": "team", "In": cells}).namespace == "team"


@pytest.mark.parametrize(
    "values",
    [
        {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "0.5", "memory": "1.1G"}},
        {"requests": {"ephemeral-storage": "1024Ki", "a.io/gpu": "1"}, "limits": {"hugepages-2Mi": "4Mi"}},
        {"node_selector": {"kubernetes.io/arch": "amd64", "pool": "", "A_b.c": "X-1_2.3"}},
        {"tolerations": [{"operator": "Exists"}, {"key": "a.io/b", "value": "c", "effect": "NoSchedule"}]},
        {"tolerations": [{"key": "a", "operator": "Equal", "effect": "NoExecute", "tolerationSeconds": 0}]},
    ],
)
def test_what_kubernetes_takes_is_kept_as_it_was_written(values: dict[str, object]) -> None:
    settings = load(values, environ={})
    assert {name: getattr(settings, name) for name in values} == values


def test_texts_of_many_lines_pass_where_they_make_sense() -> None:
    given = {"build_args": {"NOTE": "one\n\ttwo\r\n"}, "expected_output": "-- a\nb"}
    settings = load(given, environ={})
    assert (settings.build_args, settings.expected_output) == (given["build_args"], given["expected_output"])


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:80", "https://[::1]:8443/a/b/", "https://mirror.example"]
)
def test_addresses_of_mirrors_pass(address: str) -> None:
    assert load({"buildctl_url": address}, environ={}).buildctl_url == address


def test_every_field_has_help_and_steps() -> None:
    for name, info in Settings.model_fields.items():
        assert info.description, name
    shown = {name for step in STEPS for name in fields_of(step)}
    assert shown == set(Settings.model_fields) - {"keep_runs"}  # of the headless run alone


def test_defaults_are_fresh_copies() -> None:
    default_of("tags").append("x")
    assert default_of("tags") == ["test.01"]
