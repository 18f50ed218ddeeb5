"""The harness sees what must not be: each defect that it counts, made on purpose."""

from __future__ import annotations

import base64
import html
import json
import socket
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from canaries import forms_of
from fault import Fault, Scene
from harness import Result, run_case
from misbehaviour import DEFECT
from proxy import Ill, Proxy
from world import World

_USER, _TOKEN = "ns/user", 'can/ary+"0123456789abcdef01234567"&x=1%'


def _with(defect: str) -> Fault:
    @contextmanager
    def scene(_world: World, _case: int) -> Iterator[Scene]:
        yield Scene(preload={DEFECT: defect})

    return Fault(f"a step that {defect}", lambda *_: True, scene=scene)


def _case(world: World, number: int, defect: str) -> Result:
    result = run_case(world, number, "configure_auth", "check", _with(defect), limit=5.0)
    assert result.rerun == "proven", result  # the world is well again, so the next case can be judged
    assert not result.is_good, result
    return result


@pytest.mark.sandbox
def test_what_must_not_be_is_noticed(world: World) -> None:
    assert _case(world, 101, "lies").outcome == "false success"
    assert _case(world, 102, "hangs").outcome == "hang"
    assert _case(world, 103, "raises anything").outcome.startswith("untyped")
    leaked = _case(world, 104, "leaks")
    assert leaked.outcome == "typed error", leaked
    assert any(place.endswith(": raw") for place in leaked.leaked), leaked
    orphan = _case(world, 105, "leaves a process")
    assert orphan.left[0].startswith("process sleep"), orphan
    for process in world.marked(105):
        process.kill()
    assert _case(world, 106, "leaves a file").left == ("docker_config/.config.json.tmp.1",)


@pytest.mark.sandbox
def test_an_object_left_in_the_cluster_is_noticed_and_taken_away(world: World) -> None:
    words = ("-n", world.namespace, "create", "secret", "generic", "buildkitd-run", "--from-literal=a=b")
    world.kubectl(*words)
    result = run_case(world, 107, "configure_auth", "check", Fault("nothing", lambda *_: True))
    assert result.left == ("Secret buildkitd-run",)
    assert run_case(world, 108, "configure_auth", "check", Fault("nothing", lambda *_: True)).is_good


def test_the_secret_is_found_in_whatever_form_it_was_written() -> None:
    core = "0123456789abcdef01234567"
    pair = base64.b64encode(f"{_USER}:{_TOKEN}".encode()).decode()
    ways = {
        "Go": json.dumps(_TOKEN).replace("&", "\\u0026"),
        "a notebook": json.dumps(json.dumps({"password": _TOKEN})),
        "an address": urllib.parse.quote(_TOKEN),
        "lower case": urllib.parse.quote(_TOKEN, safe="").lower(),
        "a page": html.escape(_TOKEN),
        "docker": pair,
        **{f"base64 {n}": base64.b64encode(b"x" * n + _TOKEN.encode()).decode() for n in range(6)},
    }
    for name, text in ways.items():
        assert any(form in text.encode() for form in forms_of(_USER, _TOKEN).values()), name
    assert not any(form in core[::-1].encode() for form in forms_of(_USER, _TOKEN).values())


def test_a_proxy_counts_only_what_met_its_fault() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as upstream,
        Proxy(("127.0.0.1", 0), ("127.0.0.1", upstream.getsockname()[1])) as proxy,
    ):
        assert proxy.strike(Ill(half_open=True)) is False  # there is no connection yet
        assert proxy.strike(Ill(answers=1, answer=(429, "Too Many Requests", 3)))
        assert proxy.struck == 0
        with socket.create_connection(("127.0.0.1", proxy.port)) as client:
            client.sendall(b"GET /api HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = client.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
        assert b"Retry-After: 3\r\n" in answer
        assert proxy.struck == 1
