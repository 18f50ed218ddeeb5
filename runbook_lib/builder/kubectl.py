"""kubectl: where it is, its version, and a folder in which buildctl finds it by that very name.

Version skew: kubectl is supported within one minor version of the API server (Kubernetes version skew
policy). Farther apart it usually works, so it is a warning, not an error.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from runbook_lib.builder.process import run
from runbook_lib.builder.store import Store
from runbook_lib.errors import BinaryError
from runbook_lib.findings import Finding, Status
from runbook_lib.settings import Settings
from runbook_lib.small_files import barred

SUPPORTED_SKEW = 1  # minor versions, either way
_MINOR = re.compile(r"v?(\d+)\.(\d+)")
_NOTEBOOK = "03_fetch_buildctl.ipynb"


def client_version(path: Path, env: Mapping[str, str], timeout: float = 15.0) -> str:
    """The version kubectl reports, such as v1.37.2; it is asked, not inferred.

    Raises:
        BinaryError: it does not run, or answers something else than its version.
    """
    done = run([str(path), "version", "--client", "--output=json"], env, timeout)
    try:
        return str(json.loads(done.stdout)["clientVersion"]["gitVersion"])
    except (ValueError, KeyError, TypeError) as e:
        raise BinaryError(
            f"it does not answer like kubectl (exit code {done.code})",
            where=str(path),
            remedy="give a working kubectl, or leave the parameter empty to have one fetched",
            notebook=_NOTEBOOK,
        ) from e


def located(settings: Settings, remembered: str = "") -> Path | None:
    """kubectl as the settings name it, else as an earlier step recorded it, else from PATH; else None.

    Raises:
        BinaryError: the parameter kubectl names something that is no executable file.
    """
    if settings.kubectl:
        return executable(settings.kubectl, "kubectl")
    if remembered and os.access(remembered, os.X_OK) and Path(remembered).is_file():
        return Path(remembered)
    found = shutil.which("kubectl")
    return Path(found).absolute() if found else None


def executable(given: str, parameter: str) -> Path:
    """The path of an executable file that a parameter names.

    Raises:
        BinaryError: it is missing or out of reach, not a file, or not executable.
    """
    path = Path(given).expanduser().absolute()
    if why := barred(path, os.F_OK):
        raise BinaryError(
            f"it cannot be reached: {why}",
            where=str(path),
            remedy=f"make it one that this user may run, or correct the parameter {parameter}",
            notebook=_NOTEBOOK,
        )
    if not path.is_file() or not os.access(path, os.X_OK):
        raise BinaryError(
            "there is no executable file here",
            where=str(path),
            remedy=f"correct the parameter {parameter}, or leave it empty",
            notebook=_NOTEBOOK,
        )
    return path


def folder_of(path: Path, store: Store) -> Path:
    """A folder in which kubectl has its plain name: buildctl looks for `kubectl` on PATH.

    Where the binary is called otherwise (kubectl-1.37), a link is kept in the store.

    Raises:
        BinaryError: the link cannot be made.
    """
    folder = planned_folder(path, store)
    link = folder / "kubectl"
    try:
        if folder != path.parent and (not link.is_symlink() or link.readlink() != path):
            folder.mkdir(parents=True, exist_ok=True)
            temporary = folder / f".kubectl-{os.getpid()}"
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(path)
            temporary.replace(link)
    except OSError as e:
        raise BinaryError(
            f"no link to kubectl can be made: {e.strerror}",
            where=str(link),
            remedy="give a writable folder in bin_dir, or a kubectl of that very name",
            notebook=_NOTEBOOK,
        ) from e
    return folder


def planned_folder(path: Path, store: Store) -> Path:
    """The folder that `folder_of` gives; nothing is made."""
    if path.name in ("kubectl", "kubectl.exe"):
        return path.parent
    return store.folder / "links" / re.sub(r"\W+", "-", str(path)).strip("-")


def skew(client: str, server: str) -> Finding:
    """Whether kubectl is within one minor version of the API server."""
    subject = f"kubectl {client} and server {server}"
    ours, theirs = _MINOR.match(client), _MINOR.match(server)
    if not ours or not theirs:
        return Finding(Status.WARN, subject, "the versions cannot be compared")
    apart = abs(int(ours[2]) - int(theirs[2])) if ours[1] == theirs[1] else 99
    if apart <= SUPPORTED_SKEW:
        return Finding(Status.OK, subject, "within the supported skew of one minor version")
    return Finding(
        Status.WARN,
        subject,
        f"{apart} minor versions apart; Kubernetes supports one",
        remedy="it often works; if exec fails, remove kubectl from PATH or give kubectl_version",
    )
