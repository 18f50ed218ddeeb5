"""Copies out of a Pod whose streams end early, as those of real API servers have done with exit code 0."""

from __future__ import annotations

import hashlib
import random

import pytest

from runbook_lib.builder.pod_copy import copy_out
from runbook_lib.errors import ChecksumError, SourceError
from runbook_lib.progress import silent_sink

CONTENT = random.Random(1).randbytes(9_000_000)  # noqa: S311  no secret depends on it
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Pod:
    """Gives at most `most` bytes of each answer, None: an error; `asked` are the programs that were run."""

    def __init__(self, most: list[int | None], content: bytes = CONTENT) -> None:
        self.most, self.content, self.asked = most, content, list[str]()

    def ask(self, command: list[str], timeout: float) -> bytes:
        assert timeout > 0
        self.asked.append(command[0])
        if command[0] == "stat":
            return f"{len(self.content)}\n".encode()
        given = dict(word.split("=") for word in command[1:] if "=" in word)
        size, skip = int(given.get("bs", len(self.content))), int(given.get("skip", 0))
        answer = self.content[size * skip :][:size]
        most = self.most.pop(0) if self.most else len(answer)
        if most is None:
            raise SourceError("the connection broke", where="pod buildkitd")
        return answer[:most]

    def copy(self) -> bytes:
        return copy_out(self.ask, "/usr/bin/buildctl", DIGEST, "pod buildkitd", silent_sink)


def test_a_whole_answer_is_asked_for_once() -> None:
    pod = Pod([])
    assert pod.copy() == CONTENT
    assert pod.asked == ["cat"]


@pytest.mark.parametrize(
    "most",
    [[0], [5_000_000], [4_194_304], [8_999_999], [5_000_000, 10, 0, 4_000_000], [None], [None, None, 10]],
)
def test_what_was_cut_off_is_asked_for_again(most: list[int | None]) -> None:
    pod = Pod(list(most))
    assert pod.copy() == CONTENT
    assert pod.asked[:3] == ["cat", "stat", "dd"]
    assert len(pod.asked) <= 2 + 3 + len(most)


@pytest.mark.parametrize("most", [100, None])
def test_a_line_that_cuts_everything_is_given_up(most: int | None) -> None:
    pod = Pod([most] * 50)
    with pytest.raises(ChecksumError, match="cut short again and again"):
        pod.copy()
    assert len(pod.asked) == 2 + 6


def test_a_pod_that_does_not_answer_is_no_line_that_cuts() -> None:
    def gone(command: list[str], timeout: float) -> bytes:
        raise SourceError("there is no such pod", where="pod buildkitd")

    with pytest.raises(SourceError, match="no such pod"):
        copy_out(gone, "/usr/bin/buildctl", DIGEST, "pod buildkitd", silent_sink)


def test_other_bytes_are_refused() -> None:
    pod = Pod([], b"x" + CONTENT[1:])
    with pytest.raises(ChecksumError, match="altered"):
        pod.copy()
