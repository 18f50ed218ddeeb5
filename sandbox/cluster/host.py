"""What the host allows, gathered once; the renderers are pure functions of it."""

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

from sandbox.console import Reporter
from sandbox.errors import PlatformError

_CAP_SYS_RESOURCE = 24
_WATCHES_NAME = "fs.inotify.max_user_instances"
_WATCHES = Path("/proc/sys/fs/inotify/max_user_instances")
_WATCHES_EACH, _MANY_WATCHES = 32, 1024  # a cluster uses 17, and its pods some more
# overlayfs cannot use these as its upper layer.
_NO_OVERLAY_ON = frozenset({"overlay", "aufs", "fuse.fuse-overlayfs"})


@dataclass(frozen=True)
class HostFacts:
    """The facts that change how the components must be configured.

    `state_filesystem` is the type of the file system below the state folder, such as ext4 or overlay.
    """

    can_raise_limits: bool
    state_filesystem: str
    has_iptables: bool

    @property
    def snapshotter(self) -> str:
        """containerd's snapshotter: overlayfs, unless the state lies on an overlay itself."""
        return "native" if self.state_filesystem in _NO_OVERLAY_ON else "overlayfs"


def detect_host(state_folder: Path) -> HostFacts:
    """The facts of this machine for a state folder that exists."""
    return HostFacts(
        can_raise_limits=has_capability(Path("/proc/self/status").read_text(), _CAP_SYS_RESOURCE),
        state_filesystem=filesystem_of(state_folder),
        has_iptables=shutil.which("iptables") is not None,
    )


def has_capability(status: str, number: int) -> bool:
    """Whether the effective set in the text of /proc/<pid>/status holds the capability (capabilities(7))."""
    for line in status.splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return False


def filesystem_of(folder: Path) -> str:
    """The type of the file system a folder lies on: that of the deepest mount point above it."""
    mounts = {item.mountpoint: item.fstype for item in psutil.disk_partitions(all=True)}
    for candidate in (folder.resolve(), *folder.resolve().parents):
        if str(candidate) in mounts:
            return mounts[str(candidate)]
    return "unknown"


def require_linux_root() -> None:
    """Raise PlatformError, with the alternatives, where a cluster cannot run."""
    instead = "or use any existing cluster: the runbook takes a kubeconfig context and needs no sandbox."
    if platform.system() != "Linux":
        raise PlatformError(
            "the sandbox needs Linux", platform.system(), f"Run it in a Linux machine, {instead}"
        )
    if os.geteuid() != 0:
        raise PlatformError(
            "the sandbox needs root: it mounts, makes network namespaces and cgroups",
            f"uid {os.geteuid()}",
            f"Run it with sudo, {instead}",
        )


def ensure_watches(reporter: Reporter) -> None:
    """Raise the limit of inotify instances (inotify(7)) where another cluster would not get enough.

    Kubernetes' components and the runtime fail in ways that do not name it. The kernel's default, 128 a
    user, is enough for some seven clusters. Raises PlatformError where it cannot be raised.
    """
    limit = int(_WATCHES.read_text())
    used = _watches_in_use()
    if used + _WATCHES_EACH <= limit:
        return
    reporter.line(
        f"raising {_WATCHES_NAME} from {limit} to {_MANY_WATCHES} ({used} are in use) until the next boot"
    )
    try:
        _WATCHES.write_text(str(_MANY_WATCHES))
    except OSError as error:
        raise PlatformError(
            f"the limit of inotify instances is too low and cannot be raised ({error.strerror})",
            f"{used} of {limit} in use",
            f"Run: sysctl {_WATCHES_NAME}={_MANY_WATCHES}, or stop other instances.",
        ) from error


def _watches_in_use() -> int:
    """The inotify instances of this user, as far as /proc shows them."""
    count = 0
    for process in psutil.process_iter():
        folder = Path("/proc", str(process.pid), "fd")
        try:
            if folder.stat().st_uid == os.geteuid():
                count += sum(str(link.readlink()) == "anon_inode:inotify" for link in folder.iterdir())
        except OSError:
            continue  # it ended, or the descriptor was closed meanwhile
    return count
