"""The folder of fetched binaries: found by version, never when altered."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from runbook_lib.builder.store import Fetched, Store
from runbook_lib.settings_sources import load


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(load({"bin_dir": str(tmp_path)}, environ={}))
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
