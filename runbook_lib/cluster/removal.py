"""Removing from the cluster exactly what the runbook made there, and proving that it is gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from runbook_lib.cluster import objects
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.gone import wait_gone
from runbook_lib.cluster.labels import is_ours, selector
from runbook_lib.cluster.manifest import config_name, probe_name
from runbook_lib.cluster.run_image import run_name
from runbook_lib.errors import PermissionMissingError
from runbook_lib.plan import Action, Change
from runbook_lib.progress import Sink
from runbook_lib.settings import Mode, Settings


@dataclass(frozen=True, slots=True)
class Target:
    """One object of the runbook's names: ours and to be removed, or somebody else's and left."""

    kind: str
    name: str
    uid: str
    ours: bool

    def subject(self, cluster: Cluster) -> str:
        """How messages name it."""
        return objects.subject(cluster, self.kind, self.name)


def targets(cluster: Cluster, settings: Settings) -> list[Target]:
    """The live objects under the names that these settings give, in the order of removal.

    The kind that the settings do not ask for is looked at as well, and what a killed test of a pushed image
    or a killed probe of a mode left, where permissions allow: an earlier run may have made them.

    Raises:
        ClusterError: the API server refused or did not answer.
    """
    chosen = {"pod": "Pod", "deployment": "Deployment"}[settings.kind]
    certain = [(chosen, settings.name), ("ConfigMap", config_name(settings))]
    certain += [("Secret", settings.push_secret)] if settings.push_secret else []
    other = "Pod" if chosen == "Deployment" else "Deployment"
    perhaps = [(other, settings.name), ("Pod", run_name(settings)), ("Secret", run_name(settings))]
    perhaps += _of_probes(settings)
    found = []
    for kind, name in [*certain, *perhaps]:
        try:
            live = objects.read(cluster, kind, name)
        except PermissionMissingError:
            if (kind, name) in perhaps:
                continue
            raise
        if live is not None:
            found.append(Target(kind, name, str(live["metadata"]["uid"]), is_ours(live)))
    return found


def _of_probes(settings: Settings) -> list[tuple[str, str]]:
    """The temporary builders of this one, which itself may be such: those have none."""
    modes: tuple[Mode, ...] = get_args(Mode)
    if any(settings.name.endswith(f"-probe-{mode}") for mode in modes):
        return []
    temporary = [settings.model_copy(update={"name": probe_name(settings, mode)}) for mode in modes]
    return [pair for s in temporary for pair in (("Pod", s.name), ("ConfigMap", config_name(s)))]


def plan_removal(cluster: Cluster, settings: Settings) -> list[Change]:
    """One deletion for each object that is ours."""
    head = f"{cluster.kubectl_words} delete"
    return [
        Change(Action.DELETE, t.subject(cluster), "", (f"{head} {t.kind.lower()} {t.name}",))
        for t in targets(cluster, settings)
        if t.ours
    ]


def remove(
    cluster: Cluster, settings: Settings, sink: Sink, grace: int | None = None
) -> list[tuple[Target, Action]]:
    """Delete what is ours, by uid, and wait until each (and a Deployment's Pods) is gone.

    `grace`: seconds that a Pod's processes get to end; None leaves it to the Pod.

    Raises:
        ClusterWaitError: something was not gone within `ready_timeout` seconds.
        ClusterError: the API server refused or did not answer.
    """
    found = targets(cluster, settings)
    mine = [t for t in found if t.ours]
    below = [("Pod", p) for p in _pods_of_deployment(cluster, settings, mine)]
    for target in mine:
        objects.delete(cluster, target.kind, target.name, uid=target.uid, grace=grace)
    for target in mine:
        wait_gone(cluster, target.kind, target.name, target.uid, settings.ready_timeout, sink)
    for kind, pod in below:
        metadata = pod["metadata"]
        wait_gone(cluster, kind, metadata["name"], metadata["uid"], settings.ready_timeout, sink)
    return [(t, Action.DELETE if t.ours else Action.NONE) for t in found]


def _pods_of_deployment(cluster: Cluster, settings: Settings, mine: list[Target]) -> list[objects.Json]:
    if not any(t.kind == "Deployment" for t in mine):
        return []
    return objects.list_all(cluster, "Pod", selector(settings.name))
