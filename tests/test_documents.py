"""The commands and profiles in the documents are ones that the runbook takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from runbook_lib.run import options
from runbook_lib.run.cli import _parser
from runbook_lib.settings_sources import load
from runbook_lib.steps.contract import REPOSITORY_ROOT

READMES = ("README.md", "README.zh-CN.md")
GUIDE = "docs/user-guide.md"


def text_of(name: str) -> str:
    return (REPOSITORY_ROOT / name).read_text()


@pytest.mark.parametrize("name", READMES)
def test_the_first_command_works_on_a_bare_cluster(name: str) -> None:
    """`--namespace` alone ends in NamespaceMissingError there."""
    [command] = re.findall(r"-m runbook_lib (run --plan (?:.*\\\n)+.*)", text_of(name))
    filled_in = re.sub(r"<[^<>]+>", "mine", command.replace("\\\n", " "))
    arguments, rest = _parser().parse_known_args(shlex.split(filled_in))
    assert rest == []
    settings = options.settings_of(arguments)
    assert settings.namespace != "default"
    assert settings.create_namespace


def test_the_profile_of_the_guide_is_taken(tmp_path: Path) -> None:
    [profile] = re.findall(r"```yaml\n(.*?)```", text_of(GUIDE), re.DOTALL)
    (tmp_path / "profile.yaml").write_text(profile)
    assert load(profile=str(tmp_path / "profile.yaml"), environ={}).create_namespace


@pytest.mark.parametrize("name", [*READMES, GUIDE])
def test_nbmake_gets_a_profile_by_its_whole_path(name: str) -> None:
    """Its kernels run in notebooks/, where a relative path leads nowhere."""
    assert "--nbmake" in text_of(name)
    given = re.findall(r"RUNBOOK_PROFILE=(\S+)", text_of(name))
    assert given
    assert all(path.startswith('"$PWD/') for path in given)


@pytest.mark.parametrize("name", [*READMES, GUIDE])
def test_nbmake_is_not_ended_by_the_limit_of_our_own_tests(name: str) -> None:
    """A notebook waits for a build as long as `build_timeout` says; pyproject.toml ends a test before."""
    commands = re.findall(r"-m pytest ([^`]*--nbmake[^`]*)`", text_of(name))
    assert commands
    assert all("-o timeout=0" in command for command in commands)
