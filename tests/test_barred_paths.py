"""Paths that the user may not enter or read: typed errors that say so, not that nothing is there."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runbook_lib.builder import kubectl, sources
from runbook_lib.builder.store import Store
from runbook_lib.cluster.kubeconfig import context_names
from runbook_lib.errors import (
    BinaryError,
    BuildFailedError,
    ContextNotFoundError,
    DockerConfigError,
    JournalError,
    RunbookError,
    SourceError,
)
from runbook_lib.journal import Journal
from runbook_lib.registry.docker_config import DockerConfigFile
from runbook_lib.registry.safe_file import is_there
from runbook_lib.settings import Settings
from runbook_lib.settings_sources import load
from runbook_lib.small_files import barred
from runbook_lib.steps import builder_access
from runbook_lib.steps.push_request import request_of

NOBODY = 65534
DENIED = os.strerror(errno.EACCES)


@pytest.fixture(name="folder")
def folder_fixture() -> Iterator[Path]:
    """Anyone may enter it, but `closed` in it is root's alone, and so are the files of `open`."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    for name, mode in (("open", 0o755), ("closed", 0o700)):
        (folder / name / "sub").mkdir(parents=True)
        for file in ("Dockerfile", "buildctl", "release.tar.gz", "config.json", "config", "journal.jsonl"):
            (folder / name / file).write_text("")
            (folder / name / file).chmod(0o700)
        (folder / name).chmod(mode)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Not root: all three ids but the saved one, for access(2) goes by the real one."""
    groups = os.getgroups()
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, 0)
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        os.setgroups(groups)


def given(**parameters: str) -> Settings:
    return load({"registry": "r.example", "repository": "x", **parameters}, environ={})


def _archive(path: Path) -> object:
    settings = given(buildctl_archive=str(path))
    return sources._of_file(
        sources.Request(settings, Store(settings), "v1.2.3", "linux/amd64", "p", None, "kubectl")
    )


CALLS: dict[str, tuple[Callable[[Path], object], str, type[RunbookError]]] = {
    "context": (lambda f: request_of(given(context_dir=str(f / "sub"))), "closed", BuildFailedError),
    "Dockerfile": (
        lambda f: request_of(given(context_dir=str(f.parent / "open"), dockerfile=str(f / "Dockerfile"))),
        "open closed",
        BuildFailedError,
    ),
    "buildctl": (lambda f: kubectl.executable(str(f / "buildctl"), "buildctl"), "closed", BinaryError),
    "archive": (lambda f: _archive(f / "release.tar.gz"), "open closed", SourceError),
    "bin_dir": (lambda f: Store(given(bin_dir=str(f / "sub"))).fetched(), "closed", SourceError),
    "closed bin_dir": (lambda f: Store(given(bin_dir=str(f))).fetched(), "closed", SourceError),
    "kubeconfig": (
        lambda f: context_names(given(kubeconfig=str(f / "config"))),
        "open closed",
        ContextNotFoundError,
    ),
    "docker config": (
        lambda f: DockerConfigFile(f / "config.json").is_shared(), "closed", DockerConfigError,
    ),
    "backup": (lambda f: is_there(f / "config.json.bak"), "closed", DockerConfigError),
    "journal": (lambda f: Journal(f).trim(), "closed", JournalError),
}  # fmt: skip


@pytest.mark.parametrize(("name", "place"), [(n, p) for n, (_, ps, _) in CALLS.items() for p in ps.split()])
def test_what_is_barred_is_said_to_be(folder: Path, name: str, place: str) -> None:
    call, _, error = CALLS[name]
    with as_nobody(), pytest.raises(error, match=DENIED) as caught:
        call(folder / place)
    assert type(caught.value) is error
    assert caught.value.where.startswith(str(folder)) or str(folder) in caught.value.what
    assert caught.value.remedy
    assert "not a folder" not in caught.value.what
    assert "there is no" not in caught.value.what


def test_a_kubeconfig_of_the_environment_that_is_barred_is_said_to_be(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", f"/nowhere{os.pathsep}{folder / 'closed' / 'config'}")
    with as_nobody(), pytest.raises(ContextNotFoundError, match=DENIED):
        context_names(given())


def test_a_relative_dockerfile_is_looked_for_in_the_context_where_this_folder_is_barred(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "open" / "Dockerfile").chmod(0o644)
    monkeypatch.chdir(folder / "closed")
    with as_nobody():
        request = request_of(given(context_dir=str(folder / "open"), dockerfile="Dockerfile"))
    assert request.dockerfile == folder / "open" / "Dockerfile"


def test_a_buildctl_of_an_earlier_run_that_is_barred_is_passed_over(folder: Path) -> None:
    journal = Journal(folder / "open" / "run")
    journal.fact("fetch_buildctl", buildctl_path=str(folder / "closed" / "buildctl"))
    journal.run_dir.chmod(0o755)
    journal.path.chmod(0o644)
    settings = given(bin_dir=str(folder / "open" / "bin"))
    with as_nobody():
        assert builder_access._buildctl_here(settings, journal) is None


def test_what_is_not_there_is_not_barred(folder: Path) -> None:
    with as_nobody():
        for path in ("none", "open/none", "open/config/below", "a\0b"):
            assert barred(folder / path) == ""
        assert barred(folder / "open" / "config", os.F_OK) == ""
        assert barred(folder / "open" / "config") == DENIED
        assert barred(folder / "closed" / "none") == DENIED
    assert barred(folder / "closed" / "config") == ""
    assert barred(folder / ("x" * 300)) == os.strerror(errno.ENAMETOOLONG)
