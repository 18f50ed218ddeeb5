"""Bad input, one row each: a typed error with a remedy, and nothing was begun."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bad_input import ROWS, SECRET_LOOKING
from bad_row import Row

from runbook_lib.errors import InvalidParameterError
from runbook_lib.settings_sources import load

LEAST = 500  # rows; the table may grow
_BEGUN = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn", "pty.", "socket.")
_seen: list[str] | None = None


def _listen(event: str, _: object) -> None:
    if _seen is not None and event.startswith(_BEGUN):
        _seen.append(event)


sys.addaudithook(_listen)


@contextmanager
def nothing_is_begun() -> Iterator[None]:
    """No process is started and no socket made, by Python's own audit events."""
    global _seen  # noqa: PLW0603 - an audit hook cannot be taken away, only be told to listen
    _seen = begun = []
    try:
        yield
    finally:
        _seen = None
    assert begun == []


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_each_row_is_a_typed_error_with_a_remedy_and_nothing_is_begun(row: Row, tmp_path: Path) -> None:
    with nothing_is_begun(), pytest.raises(row.error, match=row.says) as caught:
        row.call(tmp_path)
    assert type(caught.value) is row.error
    assert caught.value.what
    assert caught.value.remedy
    assert SECRET_LOOKING not in str(caught.value)
    parameter, equals, _ = row.name.partition("=")
    if equals and parameter.isidentifier():
        assert parameter.removeprefix("RUNBOOK_").lower() in str(caught.value)
    if row.name.startswith("config "):
        assert [p.name for p in tmp_path.iterdir() if ".tmp." in p.name or ".bak" in p.name] == []


def test_the_table_is_long_and_says_how_long(record_property: Callable[[str, object], None]) -> None:
    record_property("rows", len(ROWS))
    print(f"{len(ROWS)} rows of bad input")
    assert len(ROWS) >= LEAST
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_the_listener_hears() -> None:
    import socket

    with pytest.raises(AssertionError, match=r"socket\.__new__"), nothing_is_begun():
        socket.socket().close()


@pytest.mark.parametrize(
    "host",
    [
        "iad.ocir.io",
        "localhost:5000",
        "10.244.0.1:5443",
        "[::1]:5000",
        "ocir.us-ashburn-1.oci.oraclecloud.com",
    ],
)
def test_good_hosts_pass(host: str) -> None:
    assert load({"registry": host}, environ={}).registry == host


def test_ports_that_differ_are_two_registries() -> None:
    hosts = ("a.example", "a.example:5000", "[::1]:5000", "[::2]:5000")
    more = [{"registry": host, "credential": "env:X"} for host in hosts]
    assert len(load({"more_registries": more}, environ={}).more_registries) == len(hosts)


def test_the_same_registry_twice_is_refused() -> None:
    twice = {"registry": "a.example", "more_registries": [{"registry": "a.example", "credential": "env:X"}]}
    with pytest.raises(InvalidParameterError, match=r"a\.example is given twice"):
        load(twice, environ={})
