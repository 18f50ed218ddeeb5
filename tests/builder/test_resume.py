"""What is built again once, and what is not: buildctl is a script that counts its starts."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from runbook_lib.builder import resume
from runbook_lib.builder.build_request import BuildRequest, BuildResult
from runbook_lib.builder.buildctl import Builder
from runbook_lib.builder.resume import build_or_resume
from runbook_lib.errors import BuildFailedError, BuildTimeoutError, ConnectionLostError

DIGEST = f"sha256:{'ab' * 32}"
HEAD = """#!/bin/sh
case "$*" in *debug*) [ -e "$0.gone" ] || { echo '[{"id": "worker"}]'; exit; }
echo 'error: no answer' >&2; exit 1 ;; esac
echo start >> "$0.starts"
first() { [ "$(wc -l < "$0.starts")" -eq 1 ]; }
while [ $# -gt 0 ]; do [ "$1" = --metadata-file ] && metadata=$2; shift; done
"""
DONE = f"""printf '{{"containerimage.digest": "{DIGEST}"}}' > "$metadata"\n"""
LOST = "echo 'error: failed to receive status: rpc error: code = Unavailable desc = EOF' >&2; exit 1\n"
EXEC = (
    "command [kubectl exec -i buildkitd -- buildctl dial-stdio] has exited with exit status 1,"
    " make sure the URL is valid, and Docker 18.09 or later is installed on the remote host: stderr="
)
REFUSALS = {
    "registry EOF": (
        'failed to solve: failed to push r.example/x:1: failed to do request: Put "https://r.example/": EOF',
        "the registry broke the connection off",
    ),
    "FROM EOF": (
        "failed to solve: failed to resolve source metadata for r.example/b:1: failed to do request:"
        ' Head "https://r.example/v2/b/manifests/1": EOF',
        "the registry broke the connection off",
    ),
    "kubectl Unauthorized": (
        f"{EXEC}error: You must be logged in to the server (Unauthorized)",
        "does not know this identity",
    ),
    "kubectl Forbidden": (
        f'{EXEC}Error from server (Forbidden): pods "buildkitd" is forbidden: User "dev" cannot create',
        "may not exec",
    ),
    "kubectl NotFound": (
        f'{EXEC}Error from server (NotFound): pods "buildkitd" not found',
        "the builder Pod is not there",
    ),
}


def script(folder: Path, text: str) -> Builder:
    path = folder / "buildctl"
    path.write_text(HEAD + text)
    path.chmod(0o755)
    return Builder(path, "unix:///nowhere")


def resumed(builder: Builder, stall: float = 8.0) -> BuildResult:
    folder = builder.buildctl.parent
    return build_or_resume(
        builder,
        BuildRequest(folder, folder / "Dockerfile", ("r.example/x:1",)),
        sink=lambda _: None,
        build_timeout=20.0,
        stall_timeout=stall,
        cancel=threading.Event(),
    )


def starts(builder: Builder) -> int:
    return len(Path(f"{builder.buildctl}.starts").read_text().splitlines())


@pytest.mark.parametrize(("text", "cause"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_is_told_at_once(tmp_path: Path, text: str, cause: str) -> None:
    builder = script(tmp_path, 'cat "$0.said" >&2; exit 1\n')
    Path(f"{builder.buildctl}.said").write_text(f"error: {text}\n")
    begun = time.monotonic()
    with pytest.raises(BuildFailedError, match=cause) as caught:
        resumed(builder)
    assert type(caught.value) is BuildFailedError
    assert starts(builder) == 1
    assert time.monotonic() - begun < 5, "nothing is waited for"


def test_a_lost_connection_is_built_again_once(tmp_path: Path) -> None:
    builder = script(tmp_path, f"if first; then {LOST.strip()}; fi\n{DONE}")
    assert resumed(builder).resumed
    assert starts(builder) == 2


def test_a_second_loss_is_told(tmp_path: Path) -> None:
    builder = script(tmp_path, LOST)
    with pytest.raises(ConnectionLostError):
        resumed(builder)
    assert starts(builder) == 2


def test_a_builder_that_stays_away_is_not_built_on_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "BACK", 1.0)
    builder = script(tmp_path, f'touch "$0.gone"; {LOST}')
    with pytest.raises(ConnectionLostError):
        resumed(builder)
    assert starts(builder) == 1


@pytest.mark.parametrize(
    ("gone", "told"),
    [("", "though the builder still answers"), ('touch "$0.gone"; ', "the builder is gone: .*no answer")],
)
def test_a_stream_that_died_without_a_word_ends_as_a_stall(tmp_path: Path, gone: str, told: str) -> None:
    builder = script(tmp_path, f"""echo '{{"vertexes": []}}' >&2; {gone}sleep 60\n""")
    with pytest.raises(BuildTimeoutError, match=f"no progress for 1 s, .*{told}") as caught:
        resumed(builder, stall=1.0)
    assert not isinstance(caught.value, ConnectionLostError)
    assert caught.value.remedy
    assert starts(builder) == 1
