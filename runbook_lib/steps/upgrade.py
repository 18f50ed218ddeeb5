"""Another image or another mode for a living builder: planned, applied, and gone back on where it fails."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, replace

from runbook_lib.cluster import daemon, objects
from runbook_lib.cluster.apply import plan_object
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.bring_up import Brought, bring_up
from runbook_lib.cluster.manifest import mode_of, render, spec_of
from runbook_lib.cluster.signals import is_over
from runbook_lib.errors import (
    ApplyRefusedError,
    ClusterError,
    ClusterWaitError,
    InvalidParameterError,
    PodNotReadyError,
    RunbookError,
    UpgradeFailedError,
)
from runbook_lib.findings import Finding, Status
from runbook_lib.plan import Action, Change
from runbook_lib.progress import Event, Sink
from runbook_lib.settings import Mode, Settings

_NOTEBOOK = "90_operate.ipynb"
_RELEASE = re.compile(r":(v\d+\.\d+\.\d+)(?:-rootless)?$")
_ROOTLESS = "-rootless"


@dataclass(frozen=True, slots=True)
class Live:
    """The live builder: image, mode, whether its cache lies in a volume, whether it has ended."""

    image: str
    mode: Mode
    has_volume: bool
    is_over: bool = False

    def __str__(self) -> str:
        return f"{self.image} ({self.mode})"


def live_builder(cluster: Cluster, settings: Settings) -> Live:
    """What the cluster holds under the builder's name.

    Raises:
        PodNotReadyError: there is none.
    """
    kind = {"pod": "Pod", "deployment": "Deployment"}[settings.kind]
    found = objects.read(cluster, kind, settings.name)
    if found is None:
        where = objects.subject(cluster, kind, settings.name)
        raise PodNotReadyError("there is no builder", where=where, remedy="run notebook 01")
    spec = spec_of(found)
    volumes = any(v["name"] == "state" for v in spec.get("volumes") or []) and settings.kind == "pod"
    return Live(str(spec["containers"][0]["image"]), mode_of(found), volumes, is_over(found))


def wanted(settings: Settings, live: Live) -> Settings | None:
    """Settings with the image and mode that are asked for; None where neither is.

    The mode changes with allow_replace alone: a builder of another mode is made anew, without its cache.

    Raises:
        InvalidParameterError: an image given by digest would have to become another mode's.
    """
    mode = settings.mode if settings.allow_replace else live.mode
    if not settings.upgrade_to and mode == live.mode:
        return None
    return settings.model_copy(update={"mode": mode, "image": image_for(settings.upgrade_to, live, mode)})


def image_for(version: str, live: Live, mode: Mode) -> str:
    """The image of `version` (a tag, an image, or "" for the living one's) for a builder of `mode`.

    Raises:
        InvalidParameterError: the living image has a digest, which stands for one mode alone.
    """
    if set(version) & set("/:@"):
        return version
    name, at, _ = live.image.partition("@")
    if at and not version:
        if (mode == "rootless") == (live.mode == "rootless"):
            return live.image
        raise InvalidParameterError(
            f"{live.image} is given by its digest, which is of mode {live.mode}",
            where="parameter upgrade_to",
            remedy=f"set upgrade_to to the image for mode {mode}",
        )
    head, slash, last = name.rpartition("/")
    path, _, tag = last.partition(":")
    tag = version or (tag if mode == "rootless" else tag.removesuffix(_ROOTLESS))
    return f"{head}{slash}{path}:{tag or 'latest'}"


def plan(cluster: Cluster, new: Settings, live: Live) -> list[Change]:
    """The change of each object as a diff, and what is lost by it."""
    changes = [plan_object(cluster, o, allow_replace=new.allow_replace) for o in render(new)]
    last = changes[-1]
    if live.is_over:  # with its builds and its cache
        return changes
    if last.action is Action.REPLACE or (last.action is Action.UPDATE and not live.has_volume):
        lost = "!lost by this: the builder's cache, and builds that are running"
        changes[-1] = replace(last, diff=f"{last.diff}\n{lost}")
    elif last.action is Action.UPDATE:
        changes[-1] = replace(
            last, diff=f"{last.diff}\n!lost by this: builds that are running; its cache stays"
        )
    return changes


def apply(
    cluster: Cluster, new: Settings, live: Live, sink: Sink, cancel: threading.Event
) -> tuple[Brought, str]:
    """Bring the builder to `new`; returns it with the daemon's version. On failure the old one comes back.

    Raises:
        UpgradeFailedError: `new` did not become Ready or does not answer; it says what runs now.
        ImmutableDriftError, NotOursError, FieldConflictError: refused, before anything changed.
    """
    try:
        brought = bring_up(cluster, new, sink, cancel)
        daemon.workers(cluster, brought.name)
        return brought, daemon.version(cluster, brought.name)
    except (PodNotReadyError, ClusterWaitError, ApplyRefusedError) as e:
        raise _rolled_back(cluster, new, live, e, sink, cancel) from e


def _rolled_back(
    cluster: Cluster, new: Settings, live: Live, why: ClusterError, sink: Sink, cancel: threading.Event
) -> UpgradeFailedError:
    """Go back to the image and mode before; the error says whether that worked."""
    target = f"{image_of_builder(new)} ({new.mode})"
    sink(Event("rollback", f"{target} failed, so back to {live}: {why.what}"))
    # A replacement may be needed to go back from one; the only difference is what `new` has changed.
    old = new.model_copy(update={"image": live.image, "mode": live.mode, "allow_replace": True})
    what = f"the builder did not become Ready with {target}: {why.what}"
    remedy = why.remedy
    if new.upgrade_to and "parameter image" in remedy:
        remedy += f"; here upgrade_to names it: {new.upgrade_to}"
    try:
        brought = bring_up(cluster, old, sink, cancel)
        daemon.workers(cluster, brought.name)
    except RunbookError as e:
        what += f"; nor did it with {live}, to which it was rolled back: {e.what}"
        remedy += f"; then run notebook 01 with image {live.image} and mode {live.mode}"
        return UpgradeFailedError(what, where=why.where, remedy=remedy, notebook="01_install_pod.ipynb")
    what += f"; it was rolled back to {live}, which is Ready"
    return UpgradeFailedError(what, where=why.where, remedy=remedy, notebook=_NOTEBOOK)


def image_of_builder(settings: Settings) -> str:
    """The image that these settings give the builder's container."""
    return str(spec_of(render(settings)[-1])["containers"][0]["image"])


def verify(new: Settings, live: Live, version: str) -> list[Finding]:
    """Whether the living builder has the image, the mode and, where the tag tells it, the version."""
    image = image_of_builder(new)
    found = []
    for subject, seen, asked in (("image", live.image, image), ("mode", live.mode, new.mode)):
        good = seen == asked
        message = seen if good else f"{seen}, not {asked}"
        found.append(Finding(Status.OK if good else Status.FAIL, subject, message, "", "apply it again"))
    release = _RELEASE.search(image)
    if release and version != release[1]:
        message = f"the daemon says {version or 'nothing'}, not {release[1]}"
        found.append(Finding(Status.FAIL, "version", message, image, "the tag holds another version"))
    return found
