"""The docker config file under SIGKILL and crowds: `python tests/faults/config_file.py [--kills N]`.

Writers are forked from this process, which has everything loaded, and are killed at random moments of
their writes. A writer tells of each write after it returned; what was told of must be in the file. Prints
the record and adds it to the results file. Exit code 1 when anything was lost, invalid or left behind.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import platform
import random
import signal
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import platformdirs

from runbook_lib.credentials import SecretValue
from runbook_lib.errors import DockerConfigError
from runbook_lib.registry.docker_config import DockerConfigFile
from runbook_lib.registry.logins import Login, encode_auth
from runbook_lib.registry.safe_file import TEMPORARY_SUFFIX

RESULTS = platformdirs.user_state_path("buildkit-runbook") / "faults.jsonl"
HOSTS = tuple(f"r{n}.example:5000" for n in range(6))
OWN_EACH = 5  # logins that each of the concurrent writers adds
LIMIT = 60.0  # seconds for the concurrent writers; each may wait for the lock 10 s a login
NOBODY = 65534
# As docker/cli writes it (a tab, keys sorted), with keys that nobody here knows.
OLD: dict[str, Any] = {
    "HttpHeaders": {"User-Agent": "Docker-Client/27.0 (linux)"},
    "auths": {"ghcr.io": {"auth": "YTpi", "email": "a@b.c"}, "https://index.docker.io/v1/": {"auth": "Yzpk"}},
    "credHelpers": {"gcr.io": "gcloud"},
    "plugins": {"-x-cli-hints": {"enabled": "true"}},
    "unknown": {"é": [1, 2.5, None, {"deep": []}], "": False},
}
_random = random.Random()  # noqa: S311 - moments to strike at, no secrets
Merge = Callable[[Path, dict[str, Login]], object]


def merge(path: Path, logins: dict[str, Login]) -> None:
    """The write that is tried."""
    DockerConfigFile(path).merge(logins)


def merge_carelessly(path: Path, logins: dict[str, Login]) -> None:
    """As a shell script does it: no lock, no temporary file. Shows that the harness sees what goes wrong."""
    document = json.loads(path.read_text()) if path.exists() else {}
    for host, login in logins.items():
        document.setdefault("auths", {})[host] = {"auth": encode_auth(login)}
    with path.open("w") as file:
        for part in json.dumps(document):
            file.write(part)
            file.flush()


@dataclass
class Record:
    """What was done and what went wrong; all of the counts below `interrupted` must be 0."""

    kills: int
    writers: int
    interrupted: int = 0  # kills that left a temporary file: struck in the middle of a write
    entries_lost: int = 0
    invalid: int = 0
    changed: int = 0  # mode, owner or symlink
    temp_left: int = 0
    refused_wrongly: int = 0
    seconds: float = 0.0
    said: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (
            self.entries_lost or self.invalid or self.changed or self.temp_left or self.refused_wrongly
        )

    def wrong(self, count: str, what: str) -> None:
        setattr(self, count, getattr(self, count) + 1)
        self.said = [*self.said, what][:20]

    def as_record(self) -> dict[str, Any]:
        return {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": platform.platform(),
            "kind": "config_file",
            **asdict(self),
            "good": self.good,
        }


@dataclass
class Place:
    """A config file to write to: `path` as given to the writer, `target` the file behind it."""

    name: str
    path: Path
    target: Path
    mode: int = 0o600
    owner: int = field(default_factory=os.geteuid)
    base: dict[str, Any] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)  # host -> user of the last write told of

    def temporary(self) -> list[Path]:
        return [p for p in self.target.parent.iterdir() if TEMPORARY_SUFFIX in p.name]


def places(folder: Path) -> list[Place]:
    """docker/cli's own file, a symlink, a dangling one, a read-only file, another owner's file."""
    made: list[Place] = []
    for name in ("plain", "symlink", "dangling symlink", "read-only file", "owner"):
        home = folder / name.replace(" ", "-")
        home.mkdir(mode=0o700)
        place = Place(name, home / "config.json", home / "config.json")
        if "symlink" in name:
            place.target = folder / f"behind {name}" / "real [1].json"
            place.target.parent.mkdir()
            place.path.symlink_to(place.target)
        if name != "dangling symlink":
            place.base = OLD
            place.target.write_text(json.dumps(OLD, indent="\t", ensure_ascii=False))
            place.mode = {"read-only file": 0o400, "symlink": 0o640}.get(name, 0o600)
            place.target.chmod(place.mode)
        if name == "owner" and os.geteuid() == 0:
            place.owner = NOBODY
            os.chown(place.target, NOBODY, NOBODY)
        made.append(place)
    return made


def run(kills: int, writers: int, write: Merge = merge) -> Record:
    """Kill `kills` writers, then let `writers` write at once, then try folders that cannot be written."""
    record = Record(kills, writers)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="config-file-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        at = places(folder)
        for number in range(kills):
            place = at[number % len(at)]
            _kill_one(place, number, write)
            record.interrupted += bool(place.temporary())
            if len(place.temporary()) > 1:
                record.wrong("temp_left", f"{place.name}: temporary files add up: {place.temporary()}")
            _judge(place, record)
        for place in at:
            _last_write(place, record, write)
        _crowd(folder, writers, record, write)
        _read_only_folder(folder, record)
    record.seconds = round(time.monotonic() - begun, 1)
    return record


def fork(work: Callable[[], None]) -> int:
    """Run `work` in a child; it ends with 0, or 1 after any error."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    except BaseException as e:  # noqa: BLE001
        print(f"writer: {type(e).__name__}: {e}", file=sys.stderr, flush=True)
    finally:
        os._exit(code)


def _kill_one(place: Place, number: int, merge_one: Merge) -> None:
    """A writer that changes one login after the other until it is killed; `place.kept` learns what it did."""
    read_end, write_end = os.pipe()

    def write() -> None:
        os.close(read_end)
        for i in range(200):
            host, user = HOSTS[i % len(HOSTS)], f"u{number}.{i}"
            os.write(write_end, f"{host} {user} begun\n".encode())
            merge_one(place.path, {host: Login(user, SecretValue("to:ken-of-nobody"))})
            os.write(write_end, f"{host} {user} done\n".encode())

    child = fork(write)
    os.close(write_end)
    with os.fdopen(read_end) as told:
        first = told.readline()
        time.sleep(_random.uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        lines = [line.split() for line in (first + told.read()).splitlines()]
    for host, user, state in lines:
        if state == "done":
            place.kept[host] = user
            place.kept.pop(f"{host} maybe", None)
        else:
            place.kept[f"{host} maybe"] = user


def _judge(place: Place, record: Record) -> None:
    """The file is whole JSON with every entry told of, every other key, its mode, owner and link."""
    where = f"{place.name}: "
    if not place.target.exists():
        if place.base or any("maybe" not in host for host in place.kept):
            record.wrong("entries_lost", where + "the file is gone")
        return
    document = _whole(place, record)
    if document is None:
        return
    auths = document.get("auths", {})
    for host in HOSTS:
        entry = auths.pop(host, None)
        found = base64.b64decode(entry["auth"]).decode().partition(":")[0] if entry else None
        # The write that was struck may have been carried out or not; from now on it is what it is.
        wanted = {place.kept.get(host), place.kept.pop(f"{host} maybe", None) or place.kept.get(host)}
        if found not in wanted:
            record.wrong("entries_lost", f"{where}{host} is {found}, not one of {wanted}")
        if found:
            place.kept[host] = found
    rest = json.dumps(document if place.base or auths else {})  # as text: the order of the keys counts
    if rest != json.dumps(place.base):
        record.wrong("entries_lost", where + f"other keys: {rest}")
    _judge_file(place, record)


def _judge_file(place: Place, record: Record) -> None:
    info = place.target.stat()
    if stat.S_IMODE(info.st_mode) != place.mode or info.st_uid != place.owner:
        record.wrong("changed", f"{place.name}: mode {info.st_mode:o}, owner {info.st_uid}")
    if place.path.is_symlink() != (place.path != place.target):
        record.wrong("changed", f"{place.name}: the symlink is gone")


def _last_write(place: Place, record: Record, merge_one: Merge) -> None:
    """The next write is not blocked by what a killed one left, and sweeps it."""
    left = place.target.parent / f".{place.target.name}{TEMPORARY_SUFFIX}of-a-killed-writer"
    left.write_text("half")
    try:
        merge_one(place.path, {HOSTS[0]: Login("last", SecretValue("last-token"))})
    except (DockerConfigError, ValueError) as e:
        record.wrong("refused_wrongly", f"{place.name}: {e}")
        return
    place.kept = {**place.kept, HOSTS[0]: "last"}
    for path in place.temporary():
        record.wrong("temp_left", f"{place.name}: {path.name}")
    _judge(place, record)


def _crowd(folder: Path, writers: int, record: Record, merge_one: Merge) -> None:
    """All at once, each with logins of its own."""
    home = folder / "crowd"
    home.mkdir()
    place = Place("crowd", home / "config.json", home / "config.json", base=OLD)
    place.target.write_text(json.dumps(OLD, indent="\t"))
    place.target.chmod(place.mode)

    def write(number: int) -> None:
        for i in range(OWN_EACH):
            host = f"w{number}-{i}.example"
            merge_one(place.path, {host: Login(f"u{number}", SecretValue(f"token-{number}"))})

    children = [fork(lambda n=n: write(n)) for n in range(writers)]
    codes = _watch(children, place, record)
    for code in filter(None, codes):
        record.wrong("refused_wrongly", f"crowd: a writer ended with {code}")
    auths = (_whole(place, record) or {}).get("auths", {})
    wanted = [f"w{n}-{i}.example" for n in range(writers) for i in range(OWN_EACH)]
    for host in [*wanted, *OLD["auths"]]:
        if host not in auths or auths[host] != OLD["auths"].get(host, auths[host]):
            record.wrong("entries_lost", f"crowd: {host}")
    for path in place.temporary():
        record.wrong("temp_left", f"crowd: {path.name}")
    _judge_file(place, record)


def _watch(children: list[int], place: Place, record: Record) -> list[int]:
    """Wait for all; the file must be whole at every moment. What is not done in time is killed."""
    codes: dict[int, int] = {}
    until = time.monotonic() + LIMIT
    while len(codes) < len(children):
        for child in (c for c in children if c not in codes):
            if time.monotonic() > until:
                os.kill(child, signal.SIGKILL)
            ended, code = os.waitpid(child, os.WNOHANG)
            if ended:
                codes[child] = code
        _whole(place, record)
        time.sleep(0.005)
    return list(codes.values())


def _whole(place: Place, record: Record) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = json.loads(place.target.read_bytes())
    except ValueError as e:
        record.wrong("invalid", f"{place.name}: {e}")
        return None
    return document


def _read_only_folder(folder: Path, record: Record) -> None:
    """A folder that this user may not write: one typed error, and the file stays as it was."""
    home = folder / "locked"
    home.mkdir()
    path = home / "config.json"
    path.write_text(json.dumps(OLD))
    path.chmod(0o644)
    home.chmod(0o555)

    def write() -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        with contextlib.suppress(DockerConfigError):
            DockerConfigFile(path).merge({HOSTS[0]: Login("u", SecretValue("some-token"))})
            raise AssertionError("a write to a read-only folder was no error")

    _, code = os.waitpid(fork(write), 0)
    if code:
        record.wrong("refused_wrongly", f"read-only folder: ended with {code}")
    if json.loads(path.read_bytes()) != OLD or [p.name for p in home.iterdir()] != [path.name]:
        record.wrong("changed", f"read-only folder: {sorted(p.name for p in home.iterdir())}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--writers", type=int, default=16)
    parser.add_argument("--careless", action="store_true", help=merge_carelessly.__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    record = run(options.kills, options.writers, merge_carelessly if options.careless else merge).as_record()
    options.results.parent.mkdir(parents=True, exist_ok=True)
    with options.results.open("a") as file:
        file.write(json.dumps(record) + "\n")
    print(json.dumps(record, indent=1))
    return 0 if record["good"] else 1


if __name__ == "__main__":
    sys.exit(main())
