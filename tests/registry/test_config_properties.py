"""What holds for every docker config file: properties, with documents made by hypothesis."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from runbook_lib.credentials import SecretValue
from runbook_lib.registry.config_document import helper_of, key_of, keys_of, lookup_key, parse, render
from runbook_lib.registry.docker_config import HIDDEN, HIDDEN_AUTH, hide, with_logins, without_logins
from runbook_lib.registry.logins import Login

KNOWN = ("auths", "credHelpers", "credsStore", "proxies")
text = st.text(st.characters(codec="utf-8"), max_size=8)
hosts = st.sampled_from(
    [
        "iad.ocir.io",
        "ocir.us-ashburn-1.oci.oraclecloud.com",
        "docker.io",
        "ghcr.io",
        "[::1]:5000",
        "localhost",
    ]
)
spellings = st.sampled_from(
    [
        "https://index.docker.io/v1/",
        "index.docker.io",
        "https://ghcr.io",
        "http://ghcr.io/v1/",
        "https://iad.ocir.io",
        "IAD.ocir.io",
        "",
    ]
)
keys = hosts | spellings | text
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
auth = st.builds(lambda u, p: base64.b64encode(f"{u}:{p}".encode()).decode(), text, text)
entries = st.fixed_dictionaries(
    {},
    optional={
        "auth": auth | text,
        "email": text,
        "identitytoken": text,
        "username": text | values,
        "password": text,
        "x": values,
    },
)
logins = st.dictionaries(
    hosts,
    st.builds(
        lambda user, token: Login(user, SecretValue(token)),
        text.filter(lambda u: u and ":" not in u and "\0" not in u),
        text.filter(lambda t: t and "\0" not in t),
    ),
    min_size=1,
    max_size=3,
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Any document that docker could have written, its parts in any order."""
    document = draw(st.dictionaries(text.filter(lambda k: k not in KNOWN), values, max_size=4))
    if draw(st.booleans()):
        document["auths"] = draw(st.dictionaries(keys, entries, max_size=4))
    if draw(st.booleans()):
        document["proxies"] = draw(st.dictionaries(text, st.dictionaries(text, text, max_size=2), max_size=2))
    if draw(st.booleans()):
        helpers = st.dictionaries(hosts | spellings, st.sampled_from(["pass", ""]), max_size=2)
        document["credHelpers"] = draw(helpers)
    if draw(st.booleans()):
        document["credsStore"] = draw(st.sampled_from(["pass", ""]))
    return dict(draw(st.permutations(list(document.items()))))


def as_text(document: dict[str, Any]) -> str:
    return json.dumps(document)


@given(documents(), logins)
def test_a_merge_touches_no_other_entry_and_no_order(before: dict[str, Any], new: dict[str, Login]) -> None:
    given_text = as_text(before)
    after = with_logins(before, new)
    assert as_text(before) == given_text, "the given document is left alone"
    mine = {key_of(before, host) if len(keys_of(before, host)) < 2 else lookup_key(host) for host in new}
    left = {k: v for k, v in after.get("auths", {}).items() if k not in mine}
    had = {k: v for k, v in before.get("auths", {}).items() if k not in mine}
    assert as_text(left) == as_text(had)
    rest = [as_text({k: v for k, v in d.items() if k != "auths"}) for d in (before, after)]
    assert rest[0] == rest[1]
    assert [k for k in after if k in before] == list(before)
    assert [k for k in after.get("auths", {}) if k in before.get("auths", {})] == list(
        before.get("auths", {})
    )


@given(documents(), logins)
def test_every_login_is_there_after_a_merge(before: dict[str, Any], new: dict[str, Login]) -> None:
    after = with_logins(before, new)
    for host, login in new.items():
        if not helper_of(before, host):
            assert len({as_text(after["auths"][key]) for key in keys_of(after, host)}) == 1
            kept = after["auths"][key_of(after, host)]
            by_parts = f"{kept.get('username')}:{kept.get('password')}"
            found = base64.b64decode(kept["auth"]).decode() if kept.get("auth") else by_parts
            assert found == f"{login.username}:{login.secret.reveal()}"


@given(documents(), logins)
def test_a_second_merge_changes_nothing(before: dict[str, Any], new: dict[str, Login]) -> None:
    once = with_logins(before, new)
    assert as_text(with_logins(once, new)) == as_text(once)


@given(documents(), logins)
def test_remove_is_the_inverse_of_add(before: dict[str, Any], new: dict[str, Login]) -> None:
    added = [host for host in new if key_of(before, host) not in before.get("auths", {})]
    assume(added and before.get("auths") != {})  # an empty `auths` goes with its last entry
    after = with_logins(before, {host: new[host] for host in added})
    assert as_text(without_logins(after, added)) == as_text(before)


@given(documents(), st.sampled_from([None, "\t", "  ", "    "]))
@settings(deadline=None)
def test_what_is_written_is_what_was_read(document: dict[str, Any], indent: str | None) -> None:
    old = json.dumps(document, indent=indent, ensure_ascii=False).encode()
    assert as_text(parse(render(parse(old, "f"), old), "f")) == as_text(document)


def leaves(value: Any) -> Iterator[Any]:  # noqa: ANN401
    """What stands at the ends of a JSON value, without the keys."""
    if not isinstance(value, dict | list):
        yield value
        return
    for inner in value.values() if isinstance(value, dict) else value:
        yield from leaves(inner)


@given(documents(), logins)
def test_nothing_secret_is_shown(before: dict[str, Any], new: dict[str, Login]) -> None:
    merged = with_logins(before, new)
    shown = hide(merged)
    assert list(shown) == list(merged)
    for key, value in shown.items():
        if key == "auths":
            assert {host: list(entry) for host, entry in value.items()} == {
                host: list(entry) for host, entry in merged["auths"].items()
            }
            harmless = [entry.pop(k, "") for entry in value.values() for k in ("username", "email")]
            assert all(isinstance(word, str) for word in harmless)
        if key not in ("credHelpers", "credsStore"):
            assert all(leaf in (HIDDEN, HIDDEN_AUTH) for leaf in leaves(value)), key
