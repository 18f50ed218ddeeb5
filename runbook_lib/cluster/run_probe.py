"""What a builder can do here, found by a RUN step that it really builds; nothing is pushed or kept.

A mode that no builder runs in is tried with a temporary one beside the real builder.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass

from runbook_lib.cluster import objects, removal
from runbook_lib.cluster.api_refusals import INSTALL
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.bring_up import bring_up
from runbook_lib.cluster.manifest import probe_name
from runbook_lib.cluster.pods import exec_in_pod
from runbook_lib.errors import BuildFailedError
from runbook_lib.progress import Event, Sink, silent_sink
from runbook_lib.settings import Mode, Settings

_SECONDS = 120  # for pulling a small image and running one command
_GRACE = 15.0  # seconds more for exec itself, so that buildctl is ended in the Pod and says where it was
_GRACE_OF_POD = 1  # seconds to end: nothing that it holds is to be kept
# buildctl is the client here: it asks the registry for tokens itself, so it must trust what the daemon does.
_SCRIPT = r"""
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
for file in /etc/ssl/certs/ca-certificates.crt /etc/buildkit/*.pem; do
  if [ -f "$file" ]; then cat "$file"; echo; fi
done > "$dir/roots.pem"
if [ -s "$dir/roots.pem" ]; then export SSL_CERT_FILE="$dir/roots.pem"; fi
printf 'FROM %s\nRUN id && echo probe-ids $(id) && echo probe-map $(cat /proc/self/uid_map)\n' "$1" \
  > "$dir/Dockerfile"
timeout "$2" buildctl build --no-cache --progress=plain --frontend=dockerfile.v0 \
  --local="dockerfile=$dir" 2>&1
"""
_IDS = re.compile(r"probe-ids (uid=\S+ gid=\S+)")
_MAP = re.compile(r"probe-map (\d+) (\d+) (\d+)")


@dataclass(frozen=True, slots=True)
class RunProbe:
    """How a RUN step ran: `identity` as `id` prints it, `node_user` the node's uid behind its uid 0."""

    identity: str
    node_user: int

    def __str__(self) -> str:
        who = "root of the node itself" if self.node_user == 0 else f"user {self.node_user} of the node"
        return f"RUN works, as {self.identity}, which is {who}"


def probe_run(cluster: Cluster, pod: str, image: str) -> RunProbe:
    """Build `FROM image` and one RUN step in the builder `pod`, uncached, and say as whom it ran.

    Raises:
        BuildFailedError: the build failed or took too long; ClusterError: no exec.
    """
    command = ["sh", "-c", _SCRIPT, "probe", image, str(_SECONDS)]
    answer = exec_in_pod(cluster, pod, command, _SECONDS + _GRACE)
    output = answer.stdout.decode(errors="replace")
    ids, mapped = _IDS.search(output), _MAP.search(output)
    if answer.code == 0 and ids and mapped:
        return RunProbe(ids[1], int(mapped[2]))
    lines = [line for line in output.splitlines() if line.strip()]
    said = next((line for line in reversed(lines) if "rror" in line), lines[-1] if lines else "no output")
    raise BuildFailedError(
        f"a RUN step cannot be built (exit code {answer.code}): {said[-400:]}",
        where=objects.subject(cluster, "Pod", pod),
        remedy="where pulling failed: mirrors, registry_ca or probe_image; where RUN failed: another mode",
        notebook=INSTALL,
    )


def probe_settings(settings: Settings, mode: Mode, image: str = "") -> Settings:
    """The settings of the temporary builder of `mode`: a Pod of a name of its own, and no other object."""
    more = {
        "name": probe_name(settings, mode),
        "mode": mode,
        "kind": "pod",
        "push_secret": "",
        "image": image or settings.image,
    }
    return settings.model_copy(update=more)


def probe_mode(cluster: Cluster, settings: Settings, sink: Sink, cancel: threading.Event) -> RunProbe:
    """Bring up the temporary builder of `settings` (see `probe_settings`), probe it, and remove it.

    It is removed whatever happens; what a killed probe left is replaced.

    Raises:
        RunbookError: the builder did not become Ready, or its RUN step fails; the diagnosis is in it.
    """
    removal.remove(cluster, settings, sink, _GRACE_OF_POD)
    try:
        brought = bring_up(cluster, settings, sink, cancel)
        sink(Event(settings.name, f"{settings.name}: building a RUN step"))
        return probe_run(cluster, brought.name, settings.probe_image)
    finally:
        # A cancelled step's sink raises, and must not keep the removal from being seen through.
        removal.remove(cluster, settings, silent_sink, _GRACE_OF_POD)
