"""Why a builder is not Ready: one table of causes over the signals of Pod, containers and Events.

The wording matched here is that of kubelet and scheduler 1.37, containerd 2 and CRI-O; the short-name
refusal of CRI-O and the virtual-node provider are taken from public reports, not reproduced.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from runbook_lib.cluster.api_refusals import INSTALL
from runbook_lib.cluster.objects import Json
from runbook_lib.cluster.signals import Signal
from runbook_lib.findings import Finding, Status


@dataclass(frozen=True, slots=True)
class Cause:
    """One row: how to recognise it, after how many sightings or seconds it is final, what to do.

    `final_count` is the number of times the signal must have been seen; `grace` the seconds it may
    still resolve by itself (another node joins, an image server comes back).
    """

    name: str
    sources: tuple[str, ...]
    pattern: re.Pattern[str]
    message: str
    remedy: str
    final_count: int = 1
    grace: float = 0.0


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A recognised cause with its evidence; `final` when waiting longer cannot help."""

    cause: str
    final: bool
    finding: Finding


def _row(
    name: str, sources: str, pattern: str, message: str, remedy: str, *, count: int = 1, grace: float = 0.0
) -> Cause:
    return Cause(
        name, tuple(sources.split()), re.compile(pattern, re.I | re.S), message, remedy, count, grace
    )


# Anchored at the reason: texts of other failures, too, say "failed" and "not found".
_PULL = (
    r"^(ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull|ImageInspectError"
    r"|Failed Failed to (pull|inspect) image) "
)
_PULLS = "waiting event"
CAUSES = (
    _row("pull-secret-missing", "event", r"FailedToRetrieveImagePullSecret|unable to retrieve some image",
         "the pull Secret named by image_pull_secret does not exist in this namespace",
         "create it (kubectl create secret docker-registry …), or correct image_pull_secret", grace=5),
    _row("image-short-name", _PULLS, rf"{_PULL}.*(short.name|unqualified.search)",
         "the node refuses short image names (CRI-O enforces full ones)",
         "write the image with its registry: docker.io/moby/buildkit:<version>"),
    _row("image-name", _PULLS, r"InvalidImageName|invalid reference format",
         "the image name is not well formed", "correct the parameter image"),
    _row("image-not-found", _PULLS, rf"{_PULL}.*(not found|manifest unknown|name unknown)",
         "the image does not exist under this name and tag",
         "correct the parameter image; the tag must exist in the registry", grace=3),
    _row("image-unauthorised", _PULLS,
         rf"{_PULL}.*(unauthori[sz]ed|authentication required|denied|403 Forbidden|401)",
         "the registry refuses the node: it needs a login to pull this image, or there is no such image",
         "check the parameter image, or name a docker-registry Secret in image_pull_secret", grace=3),
    _row("image-tls", _PULLS, rf"{_PULL}.*(x509|certificate|tls:)",
         "the node does not trust the certificate of the image's registry",
         "use an image from a registry that the nodes trust, or install its CA on the nodes", grace=10),
    _row("image-unreachable", _PULLS,
         rf"{_PULL}.*(dial tcp|no such host|i/o timeout|connection refused|context deadline)",
         "the node cannot reach the image's registry",
         "give the node a route (NAT or service gateway), or use an image from OCIR", count=3, grace=45),
    _row("image-rate-limit", _PULLS, rf"{_PULL}.*(toomanyrequests|429)",
         "the image's registry limits how often it may be pulled",
         "log in with image_pull_secret, or copy the image to OCIR", count=2, grace=20),
    _row("quota", "event condition", r"(FailedCreate|ReplicaFailure).*exceeded quota|exceeded quota",
         "a quota of the namespace leaves no room for the builder",
         "lower requests and limits, or see kubectl describe quota"),
    _row("pod-security", "event condition", r"violates PodSecurity",
         "Pod Security forbids this kind of builder in the namespace",
         "use a namespace labelled pod-security.kubernetes.io/enforce=privileged"),
    _row("no-node-taint", "condition event", r"(Unschedulable|FailedScheduling).*untolerated taint",
         "every node that fits has a taint that the builder does not tolerate",
         "set tolerations, or use other nodes", grace=10),
    _row("no-node-selector", "condition event", r"(Unschedulable|FailedScheduling).*node affinity/selector",
         "no node carries the labels of node_selector",
         "correct node_selector (kubectl get nodes --show-labels)", grace=10),
    _row("no-node-resources", "condition event", r"(Unschedulable|FailedScheduling).*Insufficient",
         "no node has enough free cpu or memory for the builder's requests",
         "lower requests, or add a node", grace=30),
    _row("no-node", "condition event", r"Unschedulable|FailedScheduling",
         "the scheduler finds no node for the builder", "see the evidence; add or free a node", grace=30),
    _row("userns-unsupported", "event waiting terminated",
         r"user ?namespaces?.*(not support|unsupported|disabled)|not support.*user ?namespaces?|idmap"
         r"|hostUsers",
         "this node does not support user namespaces",
         "set mode to privileged or rootless, or use nodes with a newer kernel and runtime", grace=5),
    _row("config-missing", "event waiting", r"CreateContainerConfigError|configmap \S+ not found",
         "the container's configuration names an object that does not exist",
         "run apply again: it makes the ConfigMap", count=2, grace=10),
    _row("out-of-memory", "terminated", r"OOMKilled", "the daemon was killed for want of memory",
         "raise limits['memory']", count=2),
    _row("crash-loop", "waiting", r"CrashLoopBackOff", "the daemon starts and ends again",
         "read the log lines: usually buildkitd.toml (mirrors, registry_ca) or a missing privilege"),
    # Every reason of a phase counts: NodeShutdown, Terminated, Preempting, DeadlineExceeded, OutOfcpu, …
    _row("evicted", "phase", r"", "the node has ended the builder, which never runs again",
         "run notebook 01 again: it is made anew; if this comes again, give it requests, or use a node with"
         " more room"),
    _row("runtime", "waiting event",
         r"FailedCreatePodSandBox|CreateContainerError|RunContainerError|StartError",
         "the node's runtime cannot start the container", "see the evidence; try mode privileged or rootless",
         count=3, grace=20),
    _row("probe", "event", r"Unhealthy", "the container runs, but buildkitd does not answer the probe",
         "wait; if it stays so, read the Pod's log", count=100, grace=3600),
)  # fmt: skip


def diagnose(signals: Iterable[Signal], age: float, node: Json | None = None) -> list[Diagnosis]:
    """All causes that the signals show, most telling first. `age`: seconds since the wait began."""
    seen = list(signals)
    found = [d for d in (_node(node),) if d]
    for cause in CAUSES:
        hits = [s for s in seen if s.source in cause.sources and cause.pattern.search(f"{s.reason} {s.text}")]
        if hits and not _is_covered(cause, found):
            best = max(hits, key=lambda s: (len(s.text), s.count))
            final = sum(s.count for s in hits) >= cause.final_count and age >= cause.grace
            evidence = [str(best)]
            if cause.name == "crash-loop":  # that it loops is told by one signal, why it ended by another
                evidence += [str(s) for s in seen if s.source == "terminated"]
            found.append(
                Diagnosis(cause.name, final, _finding(cause.message, "; ".join(evidence), cause.remedy))
            )
    return found


def _is_covered(cause: Cause, found: list[Diagnosis]) -> bool:
    """The general rows (no-node, runtime) say nothing where a special one has spoken."""
    return any(d.cause.startswith(f"{cause.name}-") for d in found) or (
        cause.name in ("runtime", "crash-loop")
        and any(d.cause in ("userns-unsupported", "config-missing", "out-of-memory") for d in found)
    )


def is_virtual(node: Json) -> bool:
    """True for an OKE virtual node (virtual-kubelet), which knows no privilege, exec or port-forward."""
    labels = (node.get("metadata") or {}).get("labels") or {}
    provider = str((node.get("spec") or {}).get("providerID", "")).removeprefix("oci://")
    # Only OKE's own type: on Azure, say, the id of every node names virtual machines.
    return labels.get("type") == "virtual-kubelet" or provider.startswith("ocid1.virtualnode.")


def _node(node: Json | None) -> Diagnosis | None:
    if node is None:
        return None
    name = str((node.get("metadata") or {}).get("name", ""))
    if is_virtual(node):
        finding = _finding(
            "the builder lies on a virtual node, which has no privileged containers, exec or port-forward",
            f"node {name}",
            "set node_selector to a label of the managed nodes",
        )
        return Diagnosis("virtual-node", True, finding)
    ready = next((c for c in node.get("status", {}).get("conditions") or [] if c["type"] == "Ready"), None)
    if ready and ready["status"] != "True":
        evidence = f"node {name}: {ready.get('reason', '')} {ready.get('message', '')}"
        finding = _finding("the builder's node is not ready", evidence, "mend or replace the node")
        return Diagnosis("node-not-ready", False, finding)
    return None


def _finding(message: str, evidence: str, remedy: str) -> Finding:
    return Finding(Status.FAIL, "builder", message, evidence[:900], remedy, INSTALL)
