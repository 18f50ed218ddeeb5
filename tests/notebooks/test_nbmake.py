"""Every notebook that lies in the folder by nbmake, in the order of their numbers, as a CI job would."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from notebook_place import Place

from runbook_lib.run import cells

pytestmark = pytest.mark.sandbox


def test_all_notebooks_pass_under_nbmake(place: Place) -> None:
    books = sorted(cells.NOTEBOOKS.glob("*.ipynb"))
    assert len(books) >= 5
    command = [sys.executable, "-m", "pytest", "--nbmake", "--nbmake-timeout=120", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-q", "-rA", "--override-ini=addopts=", *(str(path) for path in books)],
        env={**place.environ, "RUNBOOK_PROFILE": str(place.profile)},
        text=True,
        capture_output=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    passed = re.findall(r"^PASSED \S*?(\w+\.ipynb)", done.stdout, re.MULTILINE)
    assert sorted(set(passed)) == [path.name for path in books]
