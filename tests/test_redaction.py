"""Secrets are blanked however they are spelled, in whatever they stand, and in no great time."""

from __future__ import annotations

import base64
import html
import json
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jinja2 import Environment

from runbook_lib import redaction
from runbook_lib.journal import Journal
from runbook_lib.redaction import BLANK, learn, learn_login, redact
from runbook_lib.run import failure
from runbook_lib.settings_sources import load

SECRET = "c4n<>&ry:\"'with/+=\\ %é\U0001f511~end"
PLAIN = "c4naryWithoutAnySpecialCharacter"
Encode = Callable[[str], str]


def go_json(text: str) -> str:
    """encoding/json of Go, which buildctl and kubectl print with."""
    found = json.dumps(text, ensure_ascii=False)[1:-1]
    for char in "<>&\u2028\u2029":
        found = found.replace(char, f"\\u{ord(char):04x}")
    return found


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def url64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


def dumped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def quote(text: str) -> str:
    return urllib.parse.quote(text, safe="")


FORMS: dict[str, Encode] = {
    "as it is": lambda t: t,
    "JSON": json.dumps,
    "JSON as the journal writes it": dumped,
    "JSON of Go": go_json,
    "JSON in JSON": lambda t: json.dumps(json.dumps(t)),
    "JSON of Go in JSON": lambda t: json.dumps(go_json(t)),
    "JSON, three deep": lambda t: dumped(dumped(dumped(t))),
    "HTML": html.escape,
    "HTML but for quotes": lambda t: html.escape(t, quote=False),
    "HTML of Jinja": lambda t: Environment(autoescape=True).from_string("{{ t }}").render(t=t),
    "JSON in HTML of Jinja": lambda t: Environment(autoescape=True).from_string("{{ t|tojson }}").render(t=t),
    "HTML in HTML": lambda t: html.escape(html.escape(t)),
    "JSON in HTML": lambda t: html.escape(json.dumps(t)),
    "HTML in JSON": lambda t: json.dumps(html.escape(t)),
    "URL": quote,
    "URL with slashes": urllib.parse.quote,
    "URL in small letters": lambda t: urllib.parse.quote(t, safe="").lower(),
    "form": urllib.parse.quote_plus,
    "URL in URL": lambda t: quote(quote(t)),
    "JSON in URL": lambda t: quote(json.dumps(t)),
    "query of httpx": lambda t: str(httpx.URL("https://h/", params={"q": t})),
    "base64": b64,
    "base64 without padding": lambda t: b64(t).rstrip("="),
    "base64 of URLs": url64,
    "base64 of URLs without padding": lambda t: url64(t).rstrip("="),
    "base64 in a URL": lambda t: quote(b64(t)),
    "base64 in JSON of Go": lambda t: go_json(b64(t)),
    "auth of a user nobody named": lambda t: b64(f"some/user:{t}"),
    "auth of another": lambda t: b64(f"some/other:{t}"),
    "auth of a third": lambda t: url64(f"some/third1:{t}").rstrip("="),
    "docker config in a Secret": lambda t: b64(json.dumps({"auths": {"h": {"password": t}}})),
}


@pytest.mark.parametrize("encode", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("secret", [PLAIN, SECRET], ids=["plain", "special"])
def test_every_form_is_blanked(secret: str, encode: Encode) -> None:
    told = secret.lower() if encode(PLAIN) == PLAIN.lower() else secret
    form = encode(told)
    learn(told)
    for text in (f"before {form} after", f"\n{form}\n", f'{{"key": "{form}"}}', form):
        seen = redact(text)
        assert BLANK in seen
        # Nothing is left of it but what stands around every value.
        around = (
            "before ",
            " after",
            '{"key": "',
            "https://h/?q=",
            "&quot;",
            "%22",
            "%3D",
            "\\",
            '"',
            "}",
            "\n",
        )
        for part in (BLANK, *around):
            seen = seen.replace(part, "")
        assert seen == ""


def test_surroundings_stay() -> None:
    learn(SECRET)
    learn(PLAIN)
    for encode in (json.dumps, dumped, lambda t: f'"{b64(t)}"'):
        assert redact(f'{{"a": {encode(SECRET)}, "b": 1}}') == f'{{"a": "{BLANK}", "b": 1}}'
    assert redact(f"Basic {b64('u:' + PLAIN)}; next") == f"Basic {BLANK}; next"
    assert redact(f"/a/{PLAIN}/b") == f"/a/{BLANK}/b"


def test_the_line_of_a_journal_stays_json(tmp_path: Path) -> None:
    learn(SECRET)
    journal = Journal(tmp_path)
    inside = [SECRET, f"\n{b64(SECRET)}", f"\x01{b64('u:' + SECRET)}\n", f"\\{SECRET}", f"<{SECRET}>"]
    for text in inside:
        journal.write("test_push", "apply", "event", message=text)
    messages = [e.data["message"] for e in journal.entries()]
    assert messages == [f"\n{BLANK}" if t.startswith("\n") else messages[i] for i, t in enumerate(inside)]
    assert len(messages) == len(inside)
    assert all(BLANK in m and SECRET not in m for m in messages)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(min_codepoint=32, exclude_categories=("C", "Z")), min_size=10, max_size=40))
def test_any_secret_is_blanked_in_any_form(secret: str) -> None:
    redaction._known = {secret}
    encoders: list[Encode] = [*FORMS.values()]
    for encode in encoders:
        if encode is not FORMS["URL in small letters"]:
            assert encode(secret).strip('"') not in redact(f"x {encode(secret)} y")
    assert json.loads(redact(dumped(f"x {secret} y"))) == f"x {BLANK} y"


def test_short_secrets_shred_nothing_and_their_login_is_known() -> None:
    learn("abc")
    assert redact("abc YWJj") == "abc YWJj"
    learn_login("ns/user", "Zq9!")
    assert redact("Zq9! " + b64("Zq9!") + " " + b64("Zq9!").rstrip("=")) == f"{BLANK} {BLANK} {BLANK}"
    assert redact(f'"auth": "{b64("ns/user:Zq9!")}"') == f'"auth": "{BLANK}"'
    ordinary = yaml.safe_dump({"kind": "Pod", "data": b64("an ordinary text of some length"), "n": [1, 2]})
    assert redact(ordinary) == ordinary


def test_scrub_knows_the_logins_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHORT_TOKEN_OF_TEST", "Zq9!")
    output = tmp_path / "01.ipynb"
    cells = [{"outputs": [{"output_type": "stream", "text": [f"auth {b64('ns/user:Zq9!')}\n"]}]}]
    output.write_text(json.dumps({"cells": cells}))
    run = load({"registry_username": "ns/user", "registry_credential": "env:SHORT_TOKEN_OF_TEST"}, environ={})
    assert failure.scrub(output, run)
    assert json.loads(output.read_text())["cells"][0]["outputs"][0]["text"] == [f"auth {BLANK}\n"]
    output.write_text(output.read_text().replace(BLANK, b64("ns/user:Zq9!"))[:-5])
    assert failure.scrub(output, run), "a notebook that was cut short"
    assert b64("ns/user:Zq9!") not in output.read_text()


def test_much_text_is_looked_through_in_a_moment() -> None:
    learn(SECRET)
    learn("\\\\\\\\secret")
    learn_login("ns/user", PLAIN)
    for number in range(64):
        learn(f"eyJ{number:03d}" * 200, passing=True)
    for text in ("lorem ipsum <dolor> " * 50_000, "A" * 1_000_000, "\\" * 100_000, "&amp;" * 100_000):
        begun = time.monotonic()
        assert redact(text) == text
        assert time.monotonic() - begun < 5
    begun = time.monotonic()
    for number in range(1000):
        redact(f'{{"time": "{number}", "message": "one line of a journal"}}')
    assert time.monotonic() - begun < 2
