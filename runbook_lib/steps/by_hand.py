"""Shell lines that several plans share: which kubectl, which kubeconfig, waiting for the builder."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from runbook_lib.builder import kubectl, kubectl_release
from runbook_lib.builder.buildctl import POD_VARIABLE
from runbook_lib.builder.store import Store
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.labels import selector
from runbook_lib.journal import Journal
from runbook_lib.settings import Settings
from runbook_lib.steps.builder_access import kubectl_here


def kubectl_setup(
    settings: Settings, cluster: Cluster, journal: Journal, *, fetch: bool = True
) -> tuple[str, ...]:
    """What a person types before the first `kubectl`; with `fetch` also how it comes where there is none.

    Raises:
        BinaryError: the parameter kubectl names no executable file; ClusterError: the API refused.
    """
    lines: list[str] = []
    store, path = Store(settings), kubectl_here(settings, journal)
    if path is None:
        release = kubectl_release.wanted(settings, cluster.version())
        path = kubectl_release.target(settings, store, release)
        lines += kubectl_release.lines_of(settings, store, release) if fetch else ()
    folder = kubectl.planned_folder(path, store)
    lines += link_lines(path, folder)
    if shutil.which("kubectl") != str(folder / "kubectl"):
        lines.append(f"export PATH={shlex.quote(str(folder))}{os.pathsep}$PATH")
    if settings.kubeconfig:
        lines.append(f"export KUBECONFIG={shlex.quote(str(Path(settings.kubeconfig).expanduser()))}")
    return tuple(lines)


def link_lines(path: Path, folder: Path) -> tuple[str, ...]:
    """The link under kubectl's plain name, where the binary is called otherwise."""
    if folder == path.parent:
        return ()
    place = shlex.quote(str(folder))
    return (f"mkdir -p {place} && ln -sf {shlex.quote(str(path))} {place}/kubectl",)


def wait_line(settings: Settings, cluster: Cluster) -> str:
    """Wait until the builder is Ready."""
    limit = f"--timeout={settings.ready_timeout:g}s"
    if settings.kind == "deployment":
        return f"{cluster.kubectl_words} rollout status deployment/{settings.name} {limit}"
    return f"{cluster.kubectl_words} wait --for=condition=Ready pod/{settings.name} {limit}"


def pod_variable_line(settings: Settings, cluster: Cluster) -> str:
    """Ask for the name of a Deployment's Pod, which only the cluster knows."""
    path = shlex.quote("jsonpath={.items[0].metadata.name}")
    find = f"get pods --selector={selector(settings.name)} --output={path}"
    return f"{POD_VARIABLE.removeprefix('$')}=$({cluster.kubectl_words} {find})"


def exec_words(settings: Settings, cluster: Cluster, pod: str) -> str:
    """How a person begins a command in the builder's container."""
    target = f"deployment/{settings.name}" if pod == POD_VARIABLE else pod
    return f"{cluster.kubectl_words} exec {target} --container=buildkitd --"
