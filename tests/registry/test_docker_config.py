"""The docker config file: nothing lost, nothing leaked, helpers respected."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from runbook_lib.credentials import SecretValue
from runbook_lib.errors import DockerConfigError, HelperMissingError
from runbook_lib.registry.config_document import host_of
from runbook_lib.registry.docker_config import DockerConfigFile
from runbook_lib.registry.logins import Login, encode_auth
from runbook_lib.registry.safe_file import BACKUP_SUFFIX, LOCK_SUFFIX, TEMPORARY_SUFFIX

HOST = "iad.ocir.io"
LOGIN = Login("ns/jdoe", SecretValue("to:ken:with:colons"))
OLD = """{
  "zeta": {"é": [1, 2.50, null]},
  "auths": {
    "ghcr.io": {"auth": "YTpi", "email": "x"}
  },
  "a": true
}
"""

HELPER = """#!/bin/sh
store={store}
case "$1" in
  get) [ -f "$store" ] || {{ echo "credentials not found in native keychain"; exit 1; }}; cat "$store" ;;
  store) cat > "$store" ;;
  erase) rm -f "$store" ;;
esac
"""

# Keeps each login by the server that it is given for, as every real helper does.
KEEPER = """#!/bin/sh
cd {folder} || exit 2
case "$1" in
  get) read -r server || :
    for one in *.json; do grep -qsF "\\"$server\\"" "$one" && exec cat "$one"; done
    echo "credentials not found in native keychain"; exit 1 ;;
  store) cat > "$$.json" ;;
  erase) read -r server || :; grep -lsF "\\"$server\\"" *.json | xargs rm -f ;;
esac
"""
HUB = "https://index.docker.io/v1/"
# (a config file, the host, the key for which BuildKit finds the login, where: in the file or in the helper)
PLACES: dict[str, tuple[dict[str, object], str, str, str]] = {
    "no helper for this host": ({"credsStore": "lab", "credHelpers": {HOST: ""}}, HOST, HOST, "file"),
    "a helper for this host": ({"credsStore": "never", "credHelpers": {HOST: "lab"}}, HOST, HOST, "lab"),
    "a helper for a name of the hub": ({"credHelpers": {"docker.io": "never"}}, "docker.io", HUB, "file"),
    "a helper for the hub": ({"credHelpers": {HUB: "lab"}}, "docker.io", HUB, "lab"),
    "an entry for a name of the hub": ({"auths": {"index.docker.io": {}}}, "docker.io", HUB, "file"),
    "an entry for the hub": ({"auths": {HUB: {}}}, "registry-1.docker.io", HUB, "file"),
    "a URL beside a helper": (
        {"auths": {"https://ghcr.io": {}}, "credsStore": "lab"}, "ghcr.io", "ghcr.io", "lab"
    ),
    "a helper for a URL": (
        {"auths": {"https://ghcr.io": {}}, "credHelpers": {"https://ghcr.io": "never"}},
        "ghcr.io", "https://ghcr.io", "file",
    ),
    "a URL": ({"auths": {"https://ghcr.io/v1/": {}}}, "ghcr.io", "https://ghcr.io/v1/", "file"),
    # docker goes through a map: which of them it takes is chance.
    "two URLs": ({"auths": {"https://ghcr.io": {}, "http://ghcr.io": {}}}, "ghcr.io", "ghcr.io", "file"),
    "another case": ({"auths": {"https://GHCR.io": {}, "GHCR.io": {}}}, "ghcr.io", "ghcr.io", "file"),
}  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "docker" / "config.json"


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def write(path: Path, text: str, permissions: int = 0o600) -> DockerConfigFile:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(permissions)
    return DockerConfigFile(path)


def test_a_new_file_is_private_and_read_back(path: Path) -> None:
    file = DockerConfigFile(path)
    assert file.merge({HOST: LOGIN})
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert LOGIN.same_as(file.credential_for(HOST))


def test_a_merge_keeps_everything_else_in_its_order(path: Path) -> None:
    file = write(path, OLD)
    file.merge({HOST: LOGIN})
    after = json.loads(path.read_text(encoding="utf-8"))
    assert list(after) == ["zeta", "auths", "a"]
    assert list(after["auths"]) == ["ghcr.io", HOST]
    del after["auths"][HOST]
    assert after == json.loads(OLD)
    backup = path.with_name(path.name + BACKUP_SUFFIX)
    assert backup.read_text(encoding="utf-8") == OLD
    assert mode(backup) == 0o600


def test_a_second_merge_writes_nothing(path: Path) -> None:
    file = DockerConfigFile(path)
    file.merge({HOST: LOGIN})
    before = path.stat()
    assert file.merge({HOST: LOGIN}) is False
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert file.preview({HOST: LOGIN}) == ""


def test_remove_takes_only_the_named_login(path: Path) -> None:
    file = write(path, OLD)
    file.merge({HOST: LOGIN})
    assert file.remove([HOST])
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(OLD)
    assert file.remove([HOST]) is False


@pytest.mark.parametrize("old", [0o400, 0o600, 0o640, 0o644, 0o660])
def test_the_mode_is_kept_and_who_else_can_read_is_told(path: Path, old: int) -> None:
    file = write(path, OLD, old)
    file.merge({HOST: LOGIN})
    assert mode(path) == old
    assert file.is_shared() is bool(old & 0o044)


@pytest.mark.parametrize("dangling", [True, False])
def test_a_symlink_survives(path: Path, tmp_path: Path, dangling: bool) -> None:
    target = tmp_path / "elsewhere.json"
    if not dangling:
        target.write_text(OLD, encoding="utf-8")
    path.parent.mkdir()
    path.symlink_to(target)
    DockerConfigFile(path).merge({HOST: LOGIN})
    assert path.is_symlink()
    assert HOST in json.loads(target.read_text(encoding="utf-8"))["auths"]


@pytest.mark.parametrize("name", ["config.json", "config [1]*.json"])
def test_what_a_killed_run_left_is_swept(path: Path, name: str) -> None:
    path = path.with_name(name)
    file = write(path, OLD)
    left = path.parent / f".{path.name}{TEMPORARY_SUFFIX}abc"
    left.write_text("half a file with a login")
    file.merge({HOST: LOGIN})
    assert not left.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_does_not_lock_the_user_out(path: Path) -> None:
    file = write(path, OLD)
    os.chown(path, 12345, 12345)
    file.merge({HOST: LOGIN})
    assert path.stat().st_uid == 12345
    assert path.with_name(path.name + LOCK_SUFFIX).stat().st_uid == 12345


def test_a_folder_that_cannot_be_written_is_no_obstacle_to_writing_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(path, OLD)
    file.merge({HOST: LOGIN})
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    path.with_name(path.name + LOCK_SUFFIX).unlink()
    assert file.merge({HOST: LOGIN}) is False
    assert not path.with_name(path.name + LOCK_SUFFIX).exists()


def test_parallel_merges_lose_no_login(path: Path) -> None:
    hosts = [f"r{n}.example:5000" for n in range(8)]
    threads = [threading.Thread(target=DockerConfigFile(path).merge, args=({host: LOGIN},)) for host in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(json.loads(path.read_text())["auths"]) == hosts


def test_the_preview_shows_no_secret(path: Path) -> None:
    file = write(path, OLD)
    shown = file.preview({HOST: LOGIN})
    assert f'+    "{HOST}"' in shown
    assert "YTpi" not in shown
    assert "colons" not in shown


@pytest.mark.parametrize(
    "beside",
    [
        {"proxies": {"default": {"httpsProxy": "http://corp:HUNTER2pw@proxy:3128"}}},
        {"HttpHeaders": {"X-Meta-Token": "HUNTER2pw"}},
        {"HttpHeaders": "HUNTER2pw"},
        {"plugins": {"x": {"key": "HUNTER2pw"}}},
        {"no_key_of_docker": "HUNTER2pw"},
        {"auths": {HOST: {"registrytoken": "HUNTER2pw", "Password": "HUNTER2pw", "x": ["HUNTER2pw"]}}},
        {"auths": {HOST: {"username": {"oddly": "HUNTER2pw"}}}},
    ],
)
def test_the_preview_shows_no_secret_of_others(path: Path, beside: dict[str, object]) -> None:
    shown = write(path, json.dumps(beside)).preview({HOST: LOGIN})
    assert f'"{HOST}"' in shown
    assert "HUNTER2pw" not in shown


def test_a_changed_token_is_seen_in_the_preview(path: Path) -> None:
    file = DockerConfigFile(path)
    file.merge({HOST: LOGIN})
    assert "another value" in file.preview({HOST: Login("ns/jdoe", SecretValue("new-token"))})


def test_malformed_json_is_never_overwritten(path: Path) -> None:
    file = write(path, '{"auths": {\n  oops')
    with pytest.raises(DockerConfigError, match="line 2 column 3"):
        file.merge({HOST: LOGIN})
    assert path.read_text() == '{"auths": {\n  oops'


@pytest.mark.parametrize("key", ["credsStore", "credHelpers"])
def test_a_helper_keeps_the_login_and_the_file_stays(
    path: Path, tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "docker-credential-lab"
    helper.write_text(HELPER.format(store=tmp_path / "store.json"))
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    text = json.dumps({key: "lab" if key == "credsStore" else {HOST: "lab"}})
    file = write(path, text)
    assert file.credential_for(HOST) is None
    assert file.merge({HOST: LOGIN})
    assert LOGIN.same_as(file.credential_for(HOST))
    assert file.merge({HOST: LOGIN}) is False
    assert path.read_text() == text
    assert file.remove([HOST])
    assert file.credential_for(HOST) is None


@pytest.mark.parametrize(("old", "host", "key", "where"), PLACES.values(), ids=PLACES)
def test_a_login_is_written_where_buildkit_looks(
    path: Path, monkeypatch: pytest.MonkeyPatch, old: dict[str, object], host: str, key: str, where: str
) -> None:
    kept = path.parent / "kept"
    kept.mkdir(parents=True)
    for name in ("lab", "never"):
        (path.parent / f"docker-credential-{name}").write_text(KEEPER.format(folder=kept))
        (path.parent / f"docker-credential-{name}").chmod(0o755)
    monkeypatch.setenv("PATH", str(path.parent), prepend=os.pathsep)
    file = write(path, json.dumps(old))
    assert file.merge({host: LOGIN})
    written = [json.loads(p.read_text())["ServerURL"] for p in kept.iterdir()]
    assert written == ([key] if where == "lab" else [])
    found = {k: v for k, v in json.loads(path.read_text()).get("auths", {}).items() if v}
    assert list(found) == ([key] if where == "file" else [])
    assert LOGIN.same_as(file.credential_for(host))
    assert file.merge({host: LOGIN}) is False
    helper = file.helper_for(host)
    assert (helper.program if helper else "") == (f"docker-credential-{where}" if where == "lab" else "")
    assert file.remove([host])
    assert file.credential_for(host) is None
    assert list(kept.iterdir()) == []


@pytest.mark.parametrize(
    ("key", "host"),
    [  # as docker's ConvertToHostname has it
        ("127.0.0.1:6556", "127.0.0.1:6556"),
        ("[::1]:6556", "[::1]:6556"),
        ("Example.com", "Example.com"),
        ("example.com/v1/", "example.com"),
        ("http://Example.com", "Example.com"),
        ("https://example.com:", "example.com"),
        ("https://example.com:6555/v2/", "example.com:6555"),
        ("https://user@example.com/?a=b", "example.com"),
        ("https://example.com?a=b", "example.com"),
        ("ftp://example.com#x", "example.com"),
        ("https://[::1]:6555/v2/", "[::1]:6555"),
        ("https://::1:6555/v2/", "[::1]:6555"),
        ("https://[::1]/", "::1"),
        ("unix:///var/run/docker.sock", "unix:"),
    ],
)
def test_the_host_of_a_key_is_what_docker_takes_for_it(key: str, host: str) -> None:
    assert host_of(key) == host


PARTS = {"username": "u", "password": "of-the-parts"}
AUTH = encode_auth(LOGIN)


@pytest.mark.parametrize(
    ("entry", "login"),
    [
        ({**PARTS, "auth": AUTH}, LOGIN),
        ({**PARTS, "auth": ""}, Login("u", SecretValue("of-the-parts"))),
        (PARTS, Login("u", SecretValue("of-the-parts"))),
        ({"auth": AUTH, "identitytoken": "refresh"}, Login("<token>", SecretValue("refresh"))),
    ],
)
def test_the_login_of_an_entry_is_the_one_that_docker_takes(
    path: Path, entry: dict[str, str], login: Login
) -> None:
    file = write(path, json.dumps({"auths": {HOST: entry}}))
    assert login.same_as(file.credential_for(HOST))
    assert file.merge({HOST: LOGIN}) is (login is not LOGIN)


def test_a_missing_helper_is_named(path: Path) -> None:
    with pytest.raises(HelperMissingError) as caught:
        write(path, '{"credsStore": "not-installed"}').merge({HOST: LOGIN})
    assert caught.value.where == "docker-credential-not-installed"
