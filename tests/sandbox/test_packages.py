"""Debian packages: two instances that come up at once on a fresh machine install them one after the other."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest

from sandbox.build import debian
from sandbox.console import Reporter
from sandbox.errors import MissingPackagesError

QUIET = Reporter(quiet=True)
# As the real one: it refuses to run while another runs. Both have their own folder as their system.
APT_GET = """#!/bin/sh
mkdir "$0.lock" 2>/dev/null || { echo "E: Could not get lock" >&2; exit 100; }
echo "$@" >> "$0.calls"
sleep 0.3
case "$1" in install) for last; do :; done; touch "$0.has-$last";; esac
rmdir "$0.lock"
"""
DPKG_QUERY = """#!/bin/sh
for last; do :; done
test -e "$(dirname "$0")/apt-get.has-$last" && printf installed
"""


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in (("apt-get", APT_GET), ("dpkg-query", DPKG_QUERY)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SANDBOX_CACHE", str(tmp_path / "cache"))
    assert shutil.which("apt-get") == str(tmp_path / "apt-get")
    return tmp_path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs packages")
def test_packages_are_installed_once_by_two_at_a_time(system: Path) -> None:
    failures: list[Exception] = []

    def ensure() -> None:
        try:
            debian.ensure_packages(("one",), "a test", QUIET)
        except MissingPackagesError as e:
            failures.append(e)

    threads = [threading.Thread(target=ensure) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert failures == []
    assert debian.missing(("one", "two")) == ("two",)
    calls = (system / "apt-get.calls").read_text().splitlines()
    assert [call.split()[0] for call in calls] == ["update", "install"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs packages")
def test_a_failing_installer_is_a_typed_error_that_names_the_packages(system: Path) -> None:
    (system / "apt-get.lock").mkdir()
    with pytest.raises(MissingPackagesError) as caught:
        debian.ensure_packages(("one",), "a test", QUIET)
    assert "Could not get lock" in str(caught.value)
