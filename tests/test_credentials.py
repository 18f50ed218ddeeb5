"""Credential references: resolved, never shown."""

from __future__ import annotations

import base64
import os
import resource
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from runbook_lib import redaction
from runbook_lib.credentials import CredentialReference, SecretValue, is_kept, keep
from runbook_lib.errors import CredentialError, MalformedCredentialError, MissingCredentialError
from runbook_lib.journal import Journal
from runbook_lib.redaction import BLANK, redact

CANARY = "c4n4ry:with/colons+and=signs"


def test_from_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_OF_TEST", CANARY)
    assert CredentialReference.parse("env:TOKEN_OF_TEST").resolve().reveal() == CANARY


def test_a_kept_secret_is_found_by_its_name_and_is_not_in_the_environment() -> None:
    reference = keep("KEPT_BY_TEST", CANARY)
    assert str(reference) == "env:KEPT_BY_TEST"
    assert is_kept("KEPT_BY_TEST")
    assert CredentialReference.parse(str(reference)).resolve().reveal() == CANARY
    assert "KEPT_BY_TEST" not in os.environ
    assert CANARY not in redact(f"seen {CANARY}")


def test_from_file_without_the_editors_last_newline(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(CANARY + "\n")
    assert CredentialReference.parse(f"file:{path}").resolve().reveal() == CANARY


def test_from_a_secret_through_the_given_reader() -> None:
    seen: list[tuple[str, str, str]] = []

    def reader(namespace: str, name: str, key: str) -> str:
        seen.append((namespace, name, key))
        return CANARY

    assert CredentialReference.parse("secret:ns/name/key").resolve(reader).reveal() == CANARY
    assert seen == [("ns", "name", "key")]


@pytest.mark.parametrize("ending", ["\nb", "\r\nb\n", "\there", "\0"])
def test_control_characters_are_refused_without_showing_the_value(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "token"
    path.write_text(CANARY + ending)
    with pytest.raises(MalformedCredentialError) as caught:
        CredentialReference.parse(f"file:{path}").resolve()
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert caught.value.remedy


@pytest.mark.parametrize(
    "reference", ["env:NOT_SET_ANYWHERE", "file:/nonexistent/token", "secret:a/b/c", "prompt"]
)
def test_what_is_missing_is_named(reference: str) -> None:
    with pytest.raises(MissingCredentialError) as caught:
        CredentialReference.parse(reference).resolve()
    assert caught.value.where == reference
    assert caught.value.remedy
    assert isinstance(caught.value, CredentialError)


def test_an_empty_file_is_no_credential(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("\n")
    with pytest.raises(MissingCredentialError, match="empty"):
        CredentialReference.parse(f"file:{path}").resolve()


def test_a_secret_value_does_not_show_itself() -> None:
    secret = SecretValue(CANARY)
    assert CANARY not in f"{secret!r} {secret} {[secret]}"


def test_known_secrets_are_blanked_in_every_form(tmp_path: Path) -> None:
    SecretValue(CANARY)
    encoded = base64.b64encode(CANARY.encode()).decode()
    assert redact(f"a {CANARY} b {encoded}") == "a [redacted] b [redacted]"
    journal = Journal(tmp_path)
    journal.write("test", "apply", "event", message=f"x {CANARY} {encoded}")
    text = journal.path.read_text()
    assert CANARY not in text
    assert encoded not in text
    assert "[redacted]" in text


def test_of_short_lived_tokens_only_the_newest_are_remembered() -> None:
    lasting = SecretValue("lasting-secret")
    tokens = [SecretValue(f"passing-token-{n:04d}", passing=True).reveal() for n in range(1000)]
    assert redact(lasting.reveal()) == BLANK
    assert redact(f"Bearer {tokens[-1]} and {tokens[-60]}") == f"Bearer {BLANK} and {BLANK}"
    assert redact(tokens[0]) == tokens[0]
    assert len(redaction._passing) < 100


BEGINNINGS = {
    "command line": "sys.argv = ['x', 'parameters']; runpy.run_module('runbook_lib', run_name='__main__')",
    "notebook": "from runbook_lib import notebook; notebook.open_step('operate', {'run_dir': sys.argv[1]})",
    "page": "from runbook_lib import ui; ui._watched = lambda: True; ui.guide()",
}


@pytest.mark.parametrize("beginning", BEGINNINGS.values(), ids=BEGINNINGS)
def test_no_process_that_holds_secrets_leaves_a_core_file(beginning: str, tmp_path: Path) -> None:
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        pytest.skip("core files are forbidden here already")
    script = f"""
import resource, runpy, subprocess, sys
hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
try:
    {beginning}
except SystemExit:
    pass
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, hard)
print("child:", subprocess.check_output("ulimit -c", shell=True, text=True))
"""
    env = {**os.environ, "PYTHONPATH": str(Path(redaction.__file__).parents[1]), "HOME": str(tmp_path)}
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-2:] == ["child:", "0"]
