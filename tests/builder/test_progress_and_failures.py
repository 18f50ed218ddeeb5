"""BuildKit's progress stream, read as it comes, and the reasons read from its errors."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_lib.builder.failures import explained
from runbook_lib.builder.progress_json import Progress
from runbook_lib.progress import Event

BEGIN, END = "2026-11-24T08:35:23.075366328Z", "2026-11-24T08:35:24.575366328Z"


def fed(*reports: object) -> tuple[Progress, list[Event]]:
    progress = Progress()
    events = [
        e for r in reports for e in progress.feed(r if isinstance(r, bytes) else json.dumps(r).encode())
    ]
    return progress, events


def vertex(name: str, **more: object) -> dict[str, object]:
    return {"vertexes": [{"digest": f"sha256:{name}", "name": name, **more}]}


def test_vertices_are_timed_and_cached_ones_marked() -> None:
    progress, events = fed(
        vertex("one"),
        vertex("one", started=BEGIN),
        vertex("one", started=BEGIN, completed=END),
        vertex("three", started=END, completed=END),
        vertex("two", started=BEGIN, completed=BEGIN, cached=True),
        vertex("never started"),
    )
    assert progress.records() == [
        {"name": "one", "begin": 0.0, "seconds": 1.5, "cached": False},
        {"name": "two", "begin": 0.0, "seconds": 0.0, "cached": True},
        {"name": "three", "begin": 1.5, "seconds": 0.0, "cached": False},
    ]
    assert [e.message for e in events if e.done] == ["one: 1.5 s", "three: 0.0 s", "two: CACHED"]


def test_a_failed_run_names_the_instruction_and_its_last_lines() -> None:
    log = {"vertex": "sha256:RUN x", "data": base64.b64encode(b"line a\nline b\n").decode()}
    progress, _ = fed(
        vertex("RUN x", started=BEGIN),
        {"logs": [log]},
        vertex(
            "RUN x", started=BEGIN, completed=END, error="process did not complete successfully: exit code: 1"
        ),
        vertex("other", started=BEGIN, completed=END, error="context canceled"),
        b'error: failed to solve: process "/bin/sh" did not complete successfully: exit code: 1\n',
    )
    error = explained(progress, 1)
    assert error.where == "RUN x"
    assert "a RUN instruction failed" in error.what
    assert "| line b" in error.what


@pytest.mark.parametrize(
    ("text", "kind", "notebook"),
    [
        ("failed to push r/x: unexpected status from HEAD request: 401 Unauthorized", "login", "02"),
        ("push access denied, repository does not exist or may require authorization", "login", "02"),
        (
            "failed to do request: tls: failed to verify certificate: x509: unknown authority",
            "certificate",
            "01",
        ),
        (
            'failed to fetch oauth token: Post "https://r.example/token": read: connection reset by peer',
            "token service cannot be reached",
            "02",
        ),
        ("dial tcp: lookup r.example on 10.0.0.10:53: no such host", "cannot reach", "01"),
        ("listing workers for Build: Unavailable: error reading from server: EOF", "connection", "01"),
        (  # kubectl, while the API server goes down
            "error reading from error stream: next reader: read tcp 127.0.0.1:1: connection reset by peer",
            "connection to the builder was lost",
            "01",
        ),
        (
            "failed to resolve source metadata for docker.io/library/busybox:9: pull access denied",
            "named in FROM",
            "04",
        ),
        ("file with no instructions", "Dockerfile", "04"),
        ("failed to push r.example/x:1: unknown: something new", "did not take the push", "02"),
        ("dockerfile parse error on line 1: unknown instruction: FRMO", "Dockerfile", "04"),
        ('failed to calculate checksum of ref a::b: "/x": not found', "build context", "04"),
    ],
)
def test_failures_name_their_kind_and_the_notebook_that_mends(text: str, kind: str, notebook: str) -> None:
    error = explained(fed(f"error: failed to solve: {text}\n".encode())[0], 1)
    assert kind in error.what
    assert error.notebook.startswith(notebook)
    assert error.remedy


@pytest.mark.parametrize(
    ("code", "told"),
    [(-9, "buildctl was ended by SIGKILL"), (-99, "was ended by 99"), (3, "exit code 3, no message")],
)
def test_an_end_without_a_word_names_the_signal(code: int, told: str) -> None:
    error = explained(Progress(), code)
    assert told in error.what
    assert error.remedy


def test_a_push_that_ends_in_unknown_is_explained_by_its_log() -> None:
    said = "error: unexpected status from PUT request to https://r.example/v2/x: 503 Service Unavailable\n"
    progress, _ = fed(
        vertex("exporting to image", started=BEGIN),
        {"logs": [{"vertex": "sha256:exporting to image", "data": base64.b64encode(said.encode()).decode()}]},
        vertex(
            "exporting to image", started=BEGIN, completed=END, error="failed to push r.example/x: unknown"
        ),
        b"error: failed to solve: failed to push r.example/x:1: unknown: injected fault\n",
    )
    assert explained(progress, 1).what.startswith("the registry is busy or failing: failed to push")


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["vertexes", "statuses", "logs", "digest", "data", "started"]), inner),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_no_line_breaks_the_parser(line: bytes) -> None:
    progress = Progress()
    list(progress.feed(line))
    assert isinstance(progress.records(), list)
