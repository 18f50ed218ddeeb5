"""The harness sees what must not be: each defect that it counts, made on purpose."""

from __future__ import annotations

import base64
import html
import json
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from canaries import forms_of
from fault import Fault, Scene
from harness import NO_CAUSE, Result, has_remedy, run_case, with_cause
from leaks import ProcessWatch, leaks_in_events, leaks_in_logs
from misbehaviour import DEFECT
from proxy import Ill, Proxy
from table import FAULTS
from world import World

_USER, _TOKEN = "ns/user", 'can/ary+"0123456789abcdef01234567"&x=1%'


def _with(defect: str) -> Fault:
    @contextmanager
    def scene(_world: World, _case: int) -> Iterator[Scene]:
        yield Scene(preload={DEFECT: defect})

    return Fault(f"a step that {defect}", lambda *_: True, scene=scene)


def _case(world: World, number: int, defect: str, step: str = "configure_auth") -> Result:
    limit = 5.0 if defect == "hangs" else 20.0  # a new process begins with seconds of imports
    result = run_case(world, number, step, "check", _with(defect), limit=limit)
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
    for number, step in enumerate(("fetch_buildctl", "install_pod"), 109):
        assert _case(world, number, "lies", step).outcome == "false success"
    quiet = replace(_with("gives up"), must_pass=True)
    assert run_case(world, 111, "configure_auth", "check", quiet, limit=20.0).outcome == NO_CAUSE


def test_an_error_that_nothing_caused_is_noticed() -> None:
    fault, nothing = Fault("a fault", lambda *_: True), Fault("nothing", lambda *_: True, must_pass=True)
    assert with_cause("typed error", fault, struck=True) == "typed error"
    assert with_cause("typed error", fault, struck=False) == NO_CAUSE
    assert with_cause("typed error", nothing, struck=True) == NO_CAUSE
    assert with_cause("proven", nothing, struck=False) == "proven"
    assert not Result("test_push", "check", "nothing", NO_CAUSE, rerun="proven").is_good
    bearable = {f.name for f in FAULTS if f.must_pass}
    assert {"to the registry: nothing (0 ms)", "while the image runs: nothing"} < bearable
    assert not any(f.must_pass and f.must_fail for f in FAULTS)


def test_an_error_of_a_headless_run_needs_its_remedy_and_no_traceback() -> None:
    said = "ClusterError: gone\n  remedy: start it\n"
    assert has_remedy(said, headless=True)
    assert not has_remedy("ClusterError: gone\n", headless=True)
    assert not has_remedy(f"Traceback (most recent call last):\n{said}", headless=True)
    assert has_remedy("ClusterError: gone", headless=False)
    assert not has_remedy("ClusterError: gone [NO REMEDY]", headless=False)


def test_the_secret_is_found_in_processes_and_in_logs(tmp_path: Path) -> None:
    forms = forms_of(_USER, _TOKEN)
    place = SimpleNamespace(
        env={"REGISTRY_USERNAME": _USER}, token=_TOKEN, layout=SimpleNamespace(logs=tmp_path)
    )
    (tmp_path / "kubelet.log").write_text("nothing here")
    assert leaks_in_logs(cast(World, place)) == []
    (tmp_path / "kubelet.log").write_text(f"a line\nAuthorization: {_TOKEN}\n")
    assert any("kubelet.log" in hit for hit in leaks_in_logs(cast(World, place)))
    watch = ProcessWatch(forms)
    assert not list(watch.look())
    with subprocess.Popen(["sleep", "60"], env={"PASSWORD": _TOKEN}) as told:
        assert any(hit.startswith("environ of sleep: ") for hit in watch.look())
        told.kill()
    with subprocess.Popen([sys.executable, "-c", "input()", _TOKEN], stdin=subprocess.PIPE) as told:
        assert any(hit.startswith("cmdline of ") for hit in watch.look())
        told.kill()
    assert watch.looked > 0


@pytest.mark.sandbox
def test_the_secret_is_found_in_events(world: World) -> None:
    assert leaks_in_events(world) == []
    event = {
        "apiVersion": "v1", "kind": "Event", "metadata": {"generateName": "told-"}, "message": world.token,
        "involvedObject": {"kind": "Namespace", "name": world.namespace, "namespace": world.namespace},
    }  # fmt: skip
    body = world.folder / "event.json"
    body.write_text(json.dumps(event))
    world.kubectl("-n", world.namespace, "create", "-f", str(body))
    body.unlink()
    assert leaks_in_events(world)
    world.kubectl("-n", world.namespace, "delete", "events", "--all")
    assert leaks_in_events(world) == []


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
