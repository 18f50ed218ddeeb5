"""`make` on a fresh machine: Debian packs what makes a virtual environment apart from Python."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from sandbox.paths import MODULES

PROJECT = MODULES.parents[1]
# A Python without ensurepip until apt-get has brought it; what it makes holds programs that do nothing.
PYTHON = """#!/bin/sh
case "$2" in
  *ensurepip*) test -e BASE/installed;;
  *python%d*) echo python3.99-venv;;
  venv) test -e BASE/installed && mkdir -p "$3/bin" && for name in python uv jupyter; do
    ln -s /bin/true "$3/bin/$name"; done;;
esac
"""
APT = """#!/bin/sh
echo "$@" >> BASE/apt.log
test "$1" = update || RESULT
"""


def make_environment(base: Path, apt: str) -> subprocess.CompletedProcess[str]:
    for name, text in (("python3", PYTHON), ("apt-get", APT.replace("RESULT", apt))):
        (base / name).write_text(text.replace("BASE", str(base)))
        (base / name).chmod(0o755)
    venv = base / "venv"
    return subprocess.run(
        ["make", f"VENV={venv}", f"PYTHON={base / 'python3'}", f"{venv}/.installed"],
        cwd=PROJECT,
        env={**os.environ, "PATH": f"{base}:{os.environ['PATH']}", "MAKEFLAGS": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_make_installs_what_debians_python_lacks(tmp_path: Path) -> None:
    done = make_environment(tmp_path, f"touch {tmp_path}/installed")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "venv" / ".installed").exists()
    assert (tmp_path / "apt.log").read_text().splitlines()[-1].endswith(" python3.99-venv")


def test_make_leaves_a_whole_python_alone(tmp_path: Path) -> None:
    (tmp_path / "installed").touch()
    assert make_environment(tmp_path, "false").returncode == 0
    assert not (tmp_path / "apt.log").exists()


@pytest.mark.parametrize("apt", ["false", "exit 127"])
def test_make_names_the_package_where_it_cannot_be_installed(tmp_path: Path, apt: str) -> None:
    done = make_environment(tmp_path, apt)
    assert done.returncode != 0
    assert "remedy: as root: apt-get install python3.99-venv" in done.stderr
    assert not (tmp_path / "venv").exists()
