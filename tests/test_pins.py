"""What docs/security.md says is pinned by its content is so: each Python package, each Go module."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from runbook_lib.cluster.manifest import MANIFESTS, spec_of
from runbook_lib.steps.contract import REPOSITORY_ROOT
from sandbox.build.compile import build_environment
from sandbox.build.release import ASSETS
from sandbox.build.tools import TOOLS
from sandbox.paths import MODULES

LOCKS = sorted(REPOSITORY_ROOT.glob("requirements*.txt"))
PINNED = re.compile(r"([a-z0-9][a-z0-9.-]*)==[^\s;]+(?: ; [^#\\]+?)?((?: --hash=sha256:[0-9a-f]{64})+)")
SUM = re.compile(r"(\S+) (v\S+?)(/go\.mod)? h1:[A-Za-z0-9+/]{43}=")


def requirements_of(text: str) -> list[str]:
    """The requirements of a lock file, each on one line, without comments."""
    lines = (re.sub(r"(^|\s)#.*", "", line).rstrip() for line in text.splitlines())
    joined = "\n".join(line for line in lines if line).replace("\\\n", " ")
    return [" ".join(line.split()) for line in joined.splitlines()]


def unpinned(text: str) -> list[str]:
    """Those that are not `name==version` with a sha256; that is also so for options and addresses."""
    return [line for line in requirements_of(text) if not PINNED.fullmatch(line)]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_python_package_is_pinned_by_hash(lock: Path) -> None:
    text = lock.read_text()
    assert unpinned(text) == []
    names = {line.partition("==")[0] for line in requirements_of(text)}
    wanted = re.findall(r"^[a-z][a-z0-9-]*$", lock.with_suffix(".in").read_text(), re.MULTILINE)
    assert wanted
    assert set(wanted) - names == set()


def test_a_hash_that_is_missing_is_noticed() -> None:
    assert {lock.name for lock in LOCKS} >= {f"requirements{part}.txt" for part in ("", "-dev", "-uv")}
    good = f"one==1.0 \\\n    --hash=sha256:{'a' * 64}\n    # via two\n"
    assert unpinned(good) == []
    marked = good.replace("==1.0", "==1.0 ; python_version < '3.12'")
    assert unpinned(marked) == []
    for bad in ("two==2.0\n", "two>=2.0\n", "two @ https://example.org/two.whl\n", "-e .\n", "--no-index\n"):
        assert len(unpinned(good + bad)) == 1, bad
        assert len(unpinned(bad + good)) == 1, bad
    assert unpinned(good.replace("a" * 64, "a" * 63)) != []


def test_everything_is_installed_with_its_hashes_required() -> None:
    lines = [
        line for line in (REPOSITORY_ROOT / "Makefile").read_text().splitlines() if "pip install" in line
    ]
    assert len(lines) == 3
    for line in lines:
        # The third installs the runbook itself, from this folder, and nothing that it needs.
        assert "--require-hashes -r requirements" in line or "--no-deps --no-build-isolation -e ." in line


def required(go_mod: str) -> dict[tuple[str, str], bool]:
    """(module, version) that a go.mod requires, or takes in its place: whether directly."""
    lines = re.findall(r"^(?:require|\t)\s*(\S+) (v\S+)(.*)$", go_mod, re.MULTILINE)
    instead = {old: (new, version) for old, new, version in re.findall(r"(\S+) => (\S+) (v\S+)", go_mod)}
    assert len(instead) == go_mod.count("=>"), "a replacement by a folder, or of one version alone"
    return {
        instead.get(module, (module, version)): "// indirect" not in rest for module, version, rest in lines
    }


@pytest.mark.parametrize("name", TOOLS)
def test_the_sums_of_the_go_modules_are_in_the_repository(name: str) -> None:
    folder = MODULES / name
    wanted = required((folder / "go.mod").read_text())
    if not TOOLS[name].module:  # a program of our own, which needs no module
        assert wanted == {}
        return
    assert (TOOLS[name].module, TOOLS[name].version) in wanted
    lines = (folder / "go.sum").read_text().splitlines()
    sums = [SUM.fullmatch(line) for line in lines]
    assert all(sums), [line for line, found in zip(lines, sums, strict=True) if not found]
    described = {(m[1], m[2]) for m in sums if m and m[3]}
    whole = {(m[1], m[2]) for m in sums if m and not m[3]}
    assert set(wanted) - described == set()
    assert {module for module, directly in wanted.items() if directly} - whole == set()


def test_go_takes_no_module_without_its_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOFLAGS", "-mod=mod -modcacherw")
    assert build_environment(TOOLS["runc"], 0)["GOFLAGS"] == "-mod=readonly"
    assert set(TOOLS) - set(ASSETS) == {"buildkit", "rootless", "pause"}, "these are always built"


def test_manifests_name_a_version_of_the_builders_image() -> None:
    found = {}
    for path in MANIFESTS.glob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            if document["kind"] in ("Pod", "Deployment"):
                found |= {path.name: [c["image"] for c in spec_of(document)["containers"]]}
    assert len(found) == 4
    for images in found.values():
        assert [
            i for i in images if not re.search(r"(:v\d+\.\d+\.\d+(-rootless)?|@sha256:[0-9a-f]{64})$", i)
        ] == []
