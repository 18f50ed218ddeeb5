"""What goes into each image. Configurations follow the official images' (BuildKit's Dockerfile at v0.34.2).

The sandbox's own certificate and mirror are not in any image: users of the cluster must bring those by a
ConfigMap, as on any cluster with a private registry. `git` and `openssh` of the official image are left out.
"""

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.errors import BuildError
from sandbox.images.layers import Entry

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_BUSYBOX = Path("/bin/busybox")
_USER = 1000
_CAP_SETGID, _CAP_SETUID = 6, 7
PACKAGES = ("busybox-static", "uidmap", "ca-certificates")


@dataclass(frozen=True)
class Recipe:
    """An image: names (repository without registry, and tags), layers from bottom to top, configuration."""

    repository: str
    tags: tuple[str, ...]
    layers: tuple[tuple[Entry, ...], ...]
    config: dict[str, object] = field(default_factory=dict)


def recipes(programs: dict[str, Path]) -> list[Recipe]:
    """Every image of the sandbox, from the built programs and the host's busybox, uidmap and CA bundle."""
    base = _busybox()
    buildkit = _buildkit(programs)
    version = "v0.34.2"
    return [
        Recipe("library/pause", ("sandbox",), ((Entry("pause", source=programs["pause"]),),), _pause()),
        Recipe(
            "library/busybox",
            ("latest", *_busybox_tags()),
            (base,),
            {"Cmd": ["sh"], "Env": [_PATH]},
        ),
        Recipe(
            "moby/buildkit",
            (version, "master", "latest"),
            (base, buildkit),
            {"Entrypoint": ["buildkitd"], "Env": [_PATH], "Volumes": {"/var/lib/buildkit": {}}},
        ),
        Recipe(
            "moby/buildkit",
            (f"{version}-rootless", "master-rootless", "rootless"),
            (base, buildkit, _rootless(programs)),
            _rootless_config(),
        ),
    ]


def _pause() -> dict[str, object]:
    return {"Entrypoint": ["/pause"], "User": "65535:65535"}


def _busybox_tags() -> tuple[str, ...]:
    """The host's busybox version as tags, such as 1.35.0 and 1.35."""
    match = re.search(r"BusyBox v(\d+\.\d+)(\.\d+)?", _output([str(_BUSYBOX)]))
    return (match.group(1) + (match.group(2) or ""), match.group(1)) if match else ()


def _busybox() -> tuple[Entry, ...]:
    applets = [name for name in _output([str(_BUSYBOX), "--list"]).split() if name != "busybox"]
    if "sh" not in applets:
        raise BuildError("busybox has no shell", str(_BUSYBOX), "Install the package busybox-static.")
    accounts = f"root:x:0:0:root:/root:/bin/sh\nuser:x:{_USER}:{_USER}::/home/user:/bin/sh\n"
    return (
        Entry("bin/busybox", source=_BUSYBOX),
        *(Entry(f"bin/{name}", mode=0o777, link="/bin/busybox") for name in applets),
        Entry("etc/passwd", 0o644, content=accounts.encode()),
        Entry("etc/group", 0o644, content=f"root:x:0:\nuser:x:{_USER}:\n".encode()),
        Entry("etc/ssl/certs/ca-certificates.crt", 0o644, source=_BUNDLE),
        Entry("root", 0o700),
        Entry("tmp", 0o1777),
        Entry("var/tmp", 0o1777),
    )


def _buildkit(programs: dict[str, Path]) -> tuple[Entry, ...]:
    return (
        Entry("usr/bin/buildctl", source=programs["buildctl"]),
        Entry("usr/bin/buildkitd", source=programs["buildkitd"]),
        Entry("usr/bin/buildkit-runc", source=programs["runc"]),
    )


def _rootless(programs: dict[str, Path]) -> tuple[Entry, ...]:
    # File capabilities, not set-uid: the writer of uid_map must have the effective uid that owns the new user
    # namespace, because an ordinary container has no CAP_SYS_ADMIN to stand in for that (user_namespaces(7)).
    mappers = {Path("/usr/bin/newuidmap"): _CAP_SETUID, Path("/usr/bin/newgidmap"): _CAP_SETGID}
    range_of_user = b"user:100000:65536\n"
    mine = ("home/user", "home/user/.local", "home/user/.local/tmp", "home/user/.local/share")
    state = ("home/user/.local/share/buildkit", "run/user/1000")
    return (
        Entry("usr/bin/rootlesskit", source=programs["rootlesskit"]),
        *(Entry(str(path)[1:], source=path, capability=number) for path, number in mappers.items()),
        *(Entry(name, source=path) for name, path in _libraries(list(mappers)).items()),
        Entry("etc/subuid", 0o644, content=range_of_user),
        Entry("etc/subgid", 0o644, content=range_of_user),
        *(Entry(path, owner=_USER) for path in (*mine, *state)),
    )


def _rootless_config() -> dict[str, object]:
    environment = [
        _PATH,
        "HOME=/home/user",
        "USER=user",
        "XDG_RUNTIME_DIR=/run/user/1000",
        "TMPDIR=/home/user/.local/tmp",
        "BUILDKIT_HOST=unix:///run/user/1000/buildkit/buildkitd.sock",
    ]
    return {
        "User": f"{_USER}:{_USER}",
        "Entrypoint": ["rootlesskit", "buildkitd"],
        "Env": environment,
        "Volumes": {"/home/user/.local/share/buildkit": {}},
    }


def _libraries(programs: list[Path]) -> dict[str, Path]:
    """The shared libraries and the loader of dynamic programs: path in the image to file on the host."""
    found: dict[str, Path] = {}
    for program in programs:
        for path in re.findall(r"(/\S+) \(0x", _output(["ldd", str(program)])):
            found[path.removeprefix("/")] = Path(path).resolve()
    return found


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        packages = " ".join(PACKAGES)
        raise BuildError(
            "a program for the images fails", f"{' '.join(command)}: {error}", f"Install {packages}."
        ) from error
