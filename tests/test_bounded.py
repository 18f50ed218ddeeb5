"""A call that does not end: the caller goes on, and the thread ends when the call lets it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from runbook_lib.bounded import bounded


def _threads(name: str) -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == name]


def test_results_and_errors_are_handed_over() -> None:
    assert bounded(lambda: 7, 5, "quick") == 7
    with pytest.raises(ZeroDivisionError):
        bounded(lambda: 1 / 0, 5, "wrong")


def test_a_call_that_goes_on_and_on_is_left_and_its_thread_ends() -> None:
    closed = threading.Event()

    def work() -> None:
        try:
            while True:
                time.sleep(0.02)
        finally:
            closed.set()

    begun = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.2 s: on and on"):
        bounded(work, 0.2, "on and on")
    assert time.monotonic() - begun < 2
    assert closed.is_set()
    assert _threads("on and on") == []


def test_a_call_that_hangs_does_not_keep_the_process() -> None:
    program = (
        "import time\nfrom runbook_lib.bounded import bounded\n"
        "try:\n    bounded(lambda: time.sleep(60), 0.1, 'hangs')\nexcept TimeoutError:\n    print('left')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20)
    assert (done.stdout, done.stderr, done.returncode) == ("left\n", "", 0)
