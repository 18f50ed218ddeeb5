"""The files an instance leaves: its own folder, and those whose place no setting of the kubelet names."""

import contextlib
import shutil
from pathlib import Path

import psutil

from sandbox.cluster.layout import Layout
from sandbox.errors import LeftoverError

_LOG_LINKS = Path("/var/log/containers")
_KUBELET = "kubelet"
_DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins")


def remove_folder(folder: Path) -> None:
    """Remove a folder of the instance's. Raises LeftoverError where something in it cannot be removed."""
    try:
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise LeftoverError(
            f"a folder could not be removed ({error.strerror})",
            str(error.filename or folder),
            "End what still uses it (`fuser -vm` names it), and run the command again.",
        ) from error


def remove_log_links(layout: Layout) -> None:
    """Remove those of the kubelet's links to logs that lead into the instance's folder."""
    for link in _LOG_LINKS.glob("*.log"):
        if link.is_symlink() and str(link.readlink()).startswith(f"{layout.root}/"):
            link.unlink(missing_ok=True)


def remove_plugin_folder() -> None:
    """Remove the kubelet's folder for device plugins, unless a kubelet runs or something else is in it.

    All kubelets share it: one that starts makes it, and ends if it is gone before its socket is there.
    """
    if any(process.info["name"] == _KUBELET for process in psutil.process_iter(["name"])):
        return
    socket = _DEVICE_PLUGINS / "kubelet.sock"
    with contextlib.suppress(OSError):
        if {path.name for path in _DEVICE_PLUGINS.iterdir()} <= {socket.name}:
            socket.unlink(missing_ok=True)
            _DEVICE_PLUGINS.rmdir()
            _DEVICE_PLUGINS.parent.rmdir()
