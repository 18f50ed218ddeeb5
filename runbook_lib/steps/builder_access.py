"""A `Builder` from settings, cluster and journal: what notebooks 03 and 04 both need."""

from __future__ import annotations

from pathlib import Path

from runbook_lib.builder import kubectl, sources
from runbook_lib.builder.buildctl import Builder, address
from runbook_lib.builder.store import Store
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.pods import builder_pod
from runbook_lib.errors import BinaryError
from runbook_lib.journal import Journal
from runbook_lib.settings import Settings

_NOTEBOOK = "03_fetch_buildctl.ipynb"


def builder_of(settings: Settings, cluster: Cluster, journal: Journal) -> tuple[Builder, str, Path]:
    """(builder, pod name, kubectl): paths from the settings, else as notebook 03 recorded them.

    Raises:
        BinaryError: buildctl or kubectl is not there (any more); PodNotReadyError: no Ready builder.
    """
    buildctl = sources.given(settings) or Path(str(journal.look_up("buildctl_path", "")))
    if not buildctl.is_file():
        raise _missing("buildctl")
    kubectl_path = kubectl.located(settings, str(journal.look_up("kubectl_path", "")))
    if kubectl_path is None:
        raise _missing("kubectl")
    pod = builder_pod(cluster, settings)
    context = cluster.context if cluster.kubeconfig else ""
    builder = Builder(
        buildctl=buildctl,
        address=address(pod, cluster.namespace, context),
        kubectl_folder=kubectl.folder_of(kubectl_path, Store(settings)),
        kubeconfig=cluster.kubeconfig,
        docker_config=str(Path(settings.docker_config).expanduser()) if settings.docker_config else "",
        hidden=_credential_variables(settings),
    )
    return builder, pod, kubectl_path


def _credential_variables(settings: Settings) -> tuple[str, ...]:
    return tuple(r.target for r in settings.credentials if r.kind == "env")


def _missing(program: str) -> BinaryError:
    return BinaryError(
        f"{program} has not been fetched yet, or is gone",
        where=program,
        remedy=f"run notebook 03, or give the parameter {program}",
        notebook=_NOTEBOOK,
    )
