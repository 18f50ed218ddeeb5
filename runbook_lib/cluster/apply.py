"""Bringing objects to the wanted state with server-side apply; what is already so is not written."""

from __future__ import annotations

from dataclasses import dataclass

from runbook_lib.cluster import diff, objects
from runbook_lib.cluster.api_refusals import INSTALL
from runbook_lib.cluster.binding import FIELD_MANAGER, Cluster
from runbook_lib.cluster.drift import Difference, differences, unchangeable
from runbook_lib.cluster.gone import wait_gone
from runbook_lib.cluster.labels import is_ours
from runbook_lib.cluster.manifest import load
from runbook_lib.cluster.objects import Json
from runbook_lib.cluster.signals import is_over
from runbook_lib.errors import (
    ApplyRefusedError,
    ClusterError,
    ImmutableDriftError,
    NamespaceMissingError,
    NotOursError,
    PermissionMissingError,
)
from runbook_lib.plan import Action, Change
from runbook_lib.progress import Event, Sink, silent_sink


@dataclass(frozen=True, slots=True)
class Drift:
    """A wanted object, the live one (or None) and how they differ."""

    wanted: Json
    live: Json | None
    found: list[Difference]
    fixed: list[Difference]

    @property
    def action(self) -> Action:
        """What it takes: create, nothing, an update in place, or a replacement."""
        if self.live is None or self.is_going:
            return Action.CREATE
        if self.fixed or is_over(self.live):
            return Action.REPLACE
        return Action.UPDATE if self.found else Action.NONE

    @property
    def ended(self) -> str:
        """Why a Pod that has ended is replaced, by which nothing is lost; "" for any other."""
        if self.live is None or self.is_going or not is_over(self.live):
            return ""
        status = self.live["status"]
        why = ", ".join(str(status[k]) for k in ("phase", "reason") if status.get(k))
        return f"it has ended ({why}) and never runs again, so it is made anew"

    @property
    def is_going(self) -> bool:
        """Whether the live object is being deleted (by an eviction, say): nothing can be built on it."""
        return self.live is not None and bool(self.live["metadata"].get("deletionTimestamp"))


def drift_of(cluster: Cluster, wanted: Json) -> Drift:
    """Read the live object and compare (one GET, nothing else).

    Raises:
        NotOursError: an object of this name exists that the runbook did not make.
    """
    kind, name = wanted["kind"], wanted["metadata"]["name"]
    live = objects.read(cluster, kind, name)
    if live is None:
        return Drift(wanted, None, [], [])
    found = differences(live, wanted)
    if is_over(live):
        found.append(Difference("status.phase", live["status"]["phase"], "Running"))
    if not is_ours(live) and [d for d in found if not d.path.startswith("metadata.labels")]:
        raise NotOursError(
            f"a {kind} of this name exists, was not made by the runbook, and differs: "
            + "; ".join(str(d) for d in found[:5]),
            where=objects.subject(cluster, kind, name),
            remedy=f"choose another name, or remove it yourself: {cluster.kubectl_words} delete "
            f"{kind.lower()} {name}",
            notebook=INSTALL,
        )
    return Drift(wanted, live, found, unchangeable(kind, found))


def plan_object(cluster: Cluster, wanted: Json, *, allow_replace: bool) -> Change:
    """The change as a diff and as commands. Nothing is written; an update is tried as a dry run.

    Raises:
        NotOursError: see `drift_of`.
    """
    drift = drift_of(cluster, wanted)
    where = objects.subject(cluster, wanted["kind"], wanted["metadata"]["name"])
    if drift.action is Action.NONE:
        return Change(Action.NONE, where)
    if drift.action is Action.CREATE:
        return Change(Action.CREATE, where, diff.created(wanted), (_apply_command(cluster, wanted),))
    if drift.action is Action.REPLACE:
        text = diff.field_by_field(drift.found)
        if drift.ended:
            text += f"\n!{drift.ended}"
        elif not allow_replace:
            text += "\n!these fields cannot change in place: applying needs allow_replace"
        subject = f"{wanted['kind'].lower()} {wanted['metadata']['name']}"
        delete = f"{cluster.kubectl_words} delete {subject} --wait"
        return Change(Action.REPLACE, where, text, (delete, _apply_command(cluster, wanted)))
    return Change(Action.UPDATE, where, _update_diff(cluster, drift), (_apply_command(cluster, wanted),))


def apply_object(
    cluster: Cluster, wanted: Json, *, allow_replace: bool, timeout: float, sink: Sink = silent_sink
) -> Action:
    """Bring the object to the wanted state; returns what was done.

    Raises:
        ImmutableDriftError: a field of a living Pod that cannot change differs and `allow_replace` is off.
        NotOursError, FieldConflictError, ApplyRefusedError, PermissionMissingError: from the server.
        ClusterWaitError: an object that is being deleted was not gone within `timeout` seconds.
    """
    drift = drift_of(cluster, wanted)
    kind, name = wanted["kind"], wanted["metadata"]["name"]
    where = objects.subject(cluster, kind, name)
    if drift.action is Action.NONE:
        return Action.NONE
    if drift.is_going and drift.live is not None:
        sink(Event(where, f"{where}: it is being deleted; waiting until it is gone, to make it anew"))
        wait_gone(cluster, kind, name, drift.live["metadata"]["uid"], timeout, sink)
    if drift.action is Action.REPLACE and drift.live is not None:
        if not (allow_replace or drift.ended):
            raise ImmutableDriftError(
                "it differs in fields that cannot change in place: " + "; ".join(str(d) for d in drift.fixed),
                where=where,
                remedy="set allow_replace to delete it and make it anew (a running build and the builder's "
                "cache are lost), or set the parameters back",
                notebook=INSTALL,
            )
        sink(Event(where, f"{where}: {drift.ended or 'deleting it, to make it anew'}"))
        objects.delete(cluster, kind, name, uid=drift.live["metadata"]["uid"])
        wait_gone(cluster, kind, name, drift.live["metadata"]["uid"], timeout, sink)
    objects.apply(cluster, wanted)
    sink(Event(where, f"{where}: {drift.action.value}d"))
    return drift.action


def _update_diff(cluster: Cluster, drift: Drift) -> str:
    """Server's own view of the result; without the permission for it, or on refusal, the fields."""
    kind, name = drift.wanted["kind"], drift.wanted["metadata"]["name"]
    try:
        result = objects.apply(cluster, drift.wanted, dry_run=True)
    except PermissionMissingError:
        return diff.field_by_field(drift.found) + "\n!not tried on the server: the permission is missing"
    except (ApplyRefusedError, NamespaceMissingError) as e:
        return diff.field_by_field(drift.found) + f"\n!the server would refuse: {e.what}"
    except ClusterError as e:
        return diff.field_by_field(drift.found) + f"\n!{e.what}"
    return diff.unified(drift.live, result, f"{kind.lower()}/{name}")


def _apply_command(cluster: Cluster, wanted: Json) -> str:
    command = f"{cluster.kubectl_words} apply --server-side --field-manager={FIELD_MANAGER}"
    for name in ("pod.privileged.yaml", "pod.userns.yaml", "pod.rootless.yaml", "deployment.privileged.yaml"):
        plain = load(name)
        plain["metadata"]["namespace"] = cluster.namespace
        if plain == wanted:
            return f"{command} -f manifests/{name}"
    return f"{command} -f - <<'EOF'\n{diff.as_yaml(wanted)}EOF"
