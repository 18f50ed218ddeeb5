"""Whether the living builder is confined as its mode says: by its Pod's spec, and as its processes see it."""

from __future__ import annotations

from runbook_lib.cluster import daemon
from runbook_lib.cluster.api_refusals import INSTALL
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.manifest import mode_of
from runbook_lib.cluster.objects import Json
from runbook_lib.findings import Finding, Status
from runbook_lib.settings import Settings

_USERNS_REMEDY = (
    "remove it (notebook 99), then use mode privileged or rootless, "
    "or a cluster with Kubernetes 1.33 or newer"
)


def by_spec(settings: Settings, pod: Json) -> Finding:
    """The mode of the living Pod against the one asked for.

    An API server in which user namespaces are off drops `hostUsers` without a word, and what is left of mode
    userns is a plain privileged Pod.
    """
    asked, seen = settings.mode, mode_of({**pod, "kind": "Pod"})
    if seen == asked:
        return Finding(Status.OK, "mode", seen)
    if asked == "userns" and seen == "privileged":
        evidence = "spec.hostUsers is absent: the API server has dropped it"
        return _plainly_privileged(evidence)
    return Finding(Status.FAIL, "mode", f"{seen}, not {asked}", "", "apply it again", INSTALL)


def by_user(cluster: Cluster, settings: Settings, pod: Json) -> Finding:
    """As `by_spec`, and for mode userns by the node's user behind the Pod's root.

    A kubelet in which user namespaces are off passes `hostUsers` over.

    Raises:
        PodNotReadyError: it cannot be read in the Pod; ClusterError: no exec.
    """
    found = by_spec(settings, pod)
    if settings.mode != "userns" or found.status is not Status.OK:
        return found
    user = daemon.node_user(cluster, str(pod["metadata"]["name"]))
    if user == 0:
        return _plainly_privileged("/proc/self/uid_map: root of the Pod is root of the node")
    return Finding(Status.OK, "mode", f"userns: root of the Pod is user {user} of the node")


def _plainly_privileged(evidence: str) -> Finding:
    message = "the builder is plainly privileged: there is no user namespace around it"
    return Finding(Status.FAIL, "mode", message, evidence, _USERNS_REMEDY, INSTALL)
