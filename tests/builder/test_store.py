"""The folder of fetched binaries: found by version, never when altered."""

from __future__ import annotations

import errno
import hashlib
import shutil
from pathlib import Path

import pytest

from runbook_lib.builder.store import Fetched, Store
from runbook_lib.errors import SourceError
from runbook_lib.settings_sources import load


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(load({"bin_dir": str(tmp_path / "bin")}, environ={}))
    for version, platform in (
        ("v1.3.0", "linux/amd64"),
        ("v1.22.0", "linux/amd64"),
        ("v1.30.0", "linux/arm64"),
    ):
        place = store.path("buildctl", version, platform, "linux/amd64")
        with store.locked() as folder:
            found = folder / "buildctl"
            found.write_text(version)
            digest = hashlib.sha256(version.encode()).hexdigest()
            store.put(found, Fetched(str(place), version, platform, digest, "file", "nothing", "test"))
    return store


def test_the_wanted_version_is_found_else_the_newest(store: Store) -> None:
    for wanted, given in (("v1.3.0", "v1.3.0"), ("v9.9.9", "v1.22.0"), ("", "v1.22.0")):
        found = store.find("buildctl", "linux/amd64", wanted)
        assert found is not None
        assert found.read_text() == given


def test_another_platform_program_or_altered_bytes_are_not_found(store: Store) -> None:
    assert store.find("kubectl", "linux/amd64") is None
    assert store.find("buildctl", "darwin/arm64") is None
    (store.folder / "v1.22.0" / "buildctl").write_text("altered")
    found = store.find("buildctl", "linux/amd64", "v1.22.0")
    assert found is not None
    assert found.read_text() == "v1.3.0"


def test_a_folder_that_was_copied_leaves_the_first_one_alone(store: Store, tmp_path: Path) -> None:
    copy = Store(load({"bin_dir": str(tmp_path / "copy")}, environ={}))
    shutil.copytree(store.folder / "v1.3.0", copy.folder / "v1.3.0")
    found = copy.find("buildctl", "linux/amd64")
    assert found == copy.folder / "v1.3.0" / "buildctl"
    [record] = copy.fetched()
    assert record.path == str(found)
    copy.remove(record)
    assert copy.fetched() == []
    assert store.find("buildctl", "linux/amd64", "v1.3.0") == store.folder / "v1.3.0" / "buildctl"


def test_a_folder_that_was_moved_is_used_where_it_is(store: Store, tmp_path: Path) -> None:
    shutil.move(store.folder / "v1.22.0", tmp_path / "moved" / "v1.22.0")
    moved = Store(load({"bin_dir": str(tmp_path / "moved")}, environ={}))
    assert moved.find("buildctl", "linux/amd64") == tmp_path / "moved" / "v1.22.0" / "buildctl"
    for record in moved.fetched():
        moved.remove(record)
    assert list(moved.folder.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "No such file"),  # as ssl raises it for SSL_CERT_FILE
        ConnectionResetError(errno.ECONNRESET, "reset"),
        PermissionError(errno.EACCES, "Permission denied", "/elsewhere/archive"),
    ],
)
def test_errors_of_other_things_are_not_told_as_the_folders(store: Store, error: OSError) -> None:
    with pytest.raises(type(error)), store.locked():
        raise error
    assert [p.name for p in store.folder.iterdir() if p.name.startswith(".fetch-")] == []


def test_what_cannot_be_written_names_the_folder(store: Store) -> None:
    with pytest.raises(SourceError, match="cannot be written: No space left") as caught, store.locked():
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.where == str(store.folder)
    with pytest.raises(SourceError, match="cannot be written: Is a directory"), store.locked() as folder:
        folder.write_text("")
    (store.folder / "file").write_text("")
    below = Store(load({"bin_dir": str(store.folder / "file")}, environ={}))
    with pytest.raises(SourceError, match=r"cannot be written: (File|Not a)"), below.locked():
        raise AssertionError("nobody comes here")
