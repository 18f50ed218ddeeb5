"""A `Builder` from settings, cluster and journal: what notebooks 03 and 04 both need.

For instruction mode there is the same thing as it will be: before the pod is there and before anything
has been fetched, paths and names are known already.
"""

from __future__ import annotations

import os
from pathlib import Path

from runbook_lib.builder import kubectl, kubectl_release, platforms, sources
from runbook_lib.builder.buildctl import POD_VARIABLE, Builder, address
from runbook_lib.builder.store import Store
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.pods import builder_pod
from runbook_lib.errors import BinaryError, PodNotReadyError
from runbook_lib.journal import Journal
from runbook_lib.settings import DEFAULT_IMAGE, Settings

_NOTEBOOK = "03_fetch_buildctl.ipynb"


def builder_of(settings: Settings, cluster: Cluster, journal: Journal) -> tuple[Builder, str, Path]:
    """(builder, pod name, kubectl): paths from the settings, the journal, or what the store holds.

    Raises:
        BinaryError: buildctl or kubectl is not there (any more); PodNotReadyError: no Ready builder.
    """
    buildctl = _buildctl_here(settings, journal)
    if buildctl is None:
        raise _missing("buildctl")
    kubectl_path = kubectl_here(settings, journal)
    if kubectl_path is None:
        raise _missing("kubectl")
    pod = builder_pod(cluster, settings)
    folder = kubectl.folder_of(kubectl_path, Store(settings))
    return _bound(settings, cluster, buildctl, folder, pod), pod, kubectl_path


def planned_builder(settings: Settings, cluster: Cluster, journal: Journal) -> tuple[Builder, Path]:
    """(builder, kubectl) as they are or will be, for showing commands: nothing has to be there yet.

    Raises:
        BinaryError: the settings name a program that is not there; ClusterError: the API refused.
    """
    store = Store(settings)
    version = wanted_version(settings, journal)
    buildctl = _buildctl_here(settings, journal) or sources.target(settings, store, version)
    kubectl_path = kubectl_here(settings, journal) or kubectl_release.target(
        settings, store, kubectl_release.wanted(settings, cluster.version())
    )
    try:
        pod = builder_pod(cluster, settings)
    except PodNotReadyError:
        pod = planned_pod(settings)
    folder = kubectl.planned_folder(kubectl_path, store)
    return _bound(settings, cluster, buildctl, folder, pod), kubectl_path


def planned_pod(settings: Settings) -> str:
    """The pod's name before there is one: a Deployment's is known only once it runs."""
    return settings.name if settings.kind == "pod" else POD_VARIABLE


def wanted_version(settings: Settings, journal: Journal) -> str:
    """buildctl's version as far as it is known without the daemon: parameter, journal, the image's tag."""
    known = settings.buildctl_version or str(journal.look_up("daemon_version") or "")
    if known:
        return known
    last = (settings.image or DEFAULT_IMAGE).partition("@")[0].rpartition("/")[2]
    return last.partition(":")[2].removesuffix("-rootless") or "latest"


def kubectl_here(settings: Settings, journal: Journal) -> Path | None:
    """kubectl as the settings name it, as the journal knows it, on PATH, or in the store.

    Raises:
        BinaryError: the parameter kubectl names no executable file.
    """
    found = kubectl.located(settings, str(journal.look_up("kubectl_path", "")))
    return found or Store(settings).find("kubectl", platforms.this_machine(), settings.kubectl_version)


def _buildctl_here(settings: Settings, journal: Journal) -> Path | None:
    remembered = Path(str(journal.look_up("buildctl_path", "")))
    found = sources.given(settings) or (_program(remembered))
    here = platforms.this_machine()
    return found or Store(settings).find("buildctl", here, wanted_version(settings, journal))


def _program(path: Path) -> Path | None:
    """`path` where this user can run it; os.access first, for it raises nothing about folders on the way."""
    return path if os.access(path, os.X_OK) and path.is_file() else None


def _bound(settings: Settings, cluster: Cluster, buildctl: Path, kubectl_folder: Path, pod: str) -> Builder:
    return Builder(
        buildctl=buildctl,
        address=address(pod, cluster.namespace, cluster.context if cluster.kubeconfig else ""),
        kubectl_folder=kubectl_folder,
        kubeconfig=cluster.kubeconfig,
        docker_config=str(Path(settings.docker_config).expanduser()) if settings.docker_config else "",
        hidden=tuple(r.target for r in settings.credentials if r.kind == "env"),
    )


def _missing(program: str) -> BinaryError:
    return BinaryError(
        f"{program} has not been fetched yet, or is gone",
        where=program,
        remedy=f"run notebook 03, or give the parameter {program}",
        notebook=_NOTEBOOK,
    )
