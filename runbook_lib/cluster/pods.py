"""The builder's Pod: finding it, and running a command inside it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from kubernetes import client
from kubernetes.stream import stream
from kubernetes.stream.ws_client import ERROR_CHANNEL, STDERR_CHANNEL, STDOUT_CHANNEL, WSClient
from websocket import ABNF, WebSocketException, WebSocketTimeoutException

from runbook_lib.bounded import bounded
from runbook_lib.cluster import objects
from runbook_lib.cluster.api_errors import explained
from runbook_lib.cluster.api_refusals import INSTALL
from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.labels import CONTAINER, selector
from runbook_lib.cluster.signals import is_over
from runbook_lib.errors import ClusterError, ClusterWaitError, PodNotReadyError
from runbook_lib.settings import Settings

_HANDSHAKE = 20.0  # seconds; a silent API server or kubelet shall be an error within half a minute
_ANEW = 10.0  # seconds in which a kubelet knows its Pods again, or a container is begun again
_SLICE = 0.5  # seconds between looks at the clock while a command is silent


@dataclass(frozen=True, slots=True)
class ExecResult:
    """Outcome of a command in a Pod: exit code and raw output."""

    code: int
    stdout: bytes
    stderr: bytes


def candidates(cluster: Cluster, settings: Settings) -> list[objects.Json]:
    """The builder's Pods that are not being deleted: Ready ones first, then the newest."""
    if settings.kind == "pod":
        pod = objects.read(cluster, "Pod", settings.name)
        found = [pod] if pod else []
    else:
        listed = objects.list_all(cluster, "Pod", selector(settings.name))
        found = [
            p for p in listed if not is_over(p)
        ]  # one that has ended stays listed; another takes its place
    alive = [p for p in found if not p["metadata"].get("deletionTimestamp")]
    alive.sort(key=lambda p: str(p["metadata"]["creationTimestamp"]), reverse=True)
    return sorted(alive, key=lambda p: not is_ready(p))


def is_ready(pod: objects.Json) -> bool:
    """True when the Pod's condition Ready is True and its containers have passed their startup probe.

    The condition alone does not do: for a moment after a container began anew in place, it is True by what
    the readiness probe said of the container before.
    """
    status = pod.get("status", {})
    started = all(c.get("started", True) for c in status.get("containerStatuses") or [])
    conditions = status.get("conditions") or []
    return started and any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def image_of_pod(pod: objects.Json) -> tuple[str, str]:
    """(image as asked for, imageID that runs) of the first container; "" where the Pod does not tell.

    Runtimes differ: containerd names the digest that was pulled, CRI-O may name the platform's manifest.
    """
    asked = str(pod["spec"]["containers"][0].get("image", ""))
    statuses = pod.get("status", {}).get("containerStatuses") or [{}]
    return asked, str(statuses[0].get("imageID", "")).removeprefix("docker-pullable://")


def builder_pod(cluster: Cluster, settings: Settings) -> str:
    """The name of the running, Ready builder Pod.

    Raises:
        PodNotReadyError: there is none, or it is not Ready.
        ClusterError: the API server refused or did not answer.
    """
    found = candidates(cluster, settings)
    where = objects.subject(cluster, "Pod", settings.name)
    if not found:
        raise PodNotReadyError("there is no builder", where=where, remedy="run notebook 01", notebook=INSTALL)
    if not is_ready(found[0]):
        phase = found[0].get("status", {}).get("phase", "unknown")
        raise PodNotReadyError(
            f"the builder is not Ready (phase {phase})",
            where=where,
            remedy="run notebook 01: it says why",
            notebook=INSTALL,
        )
    return str(found[0]["metadata"]["name"])


def exec_in_pod(
    cluster: Cluster, pod: str, command: list[str], timeout: float, container: str = CONTAINER
) -> ExecResult:
    """Run `command` in the Pod and return its exit code and raw output (binary-safe).

    The exit code comes from the protocol's own error channel: a connection that ends without one is
    an error, for kubectl has been seen to exit 0 on truncated output (kubernetes #124571).

    Raises:
        ClusterWaitError: the command did not end within `timeout` seconds.
        ClusterError: no exec (403, 501 on virtual nodes, no such container), or no exit code came.
    """
    where = objects.subject(cluster, "Pod", pod)
    # stream() swaps a method of the client while it connects, so it gets a client of its own.
    api = client.CoreV1Api(client.ApiClient(cluster.api.configuration))

    def connect() -> WSClient:
        session: WSClient = stream(
            api.connect_get_namespaced_pod_exec, pod, cluster.namespace, command=command,
            container=container, stdin=False, stdout=True, stderr=True, tty=False,
            _preload_content=False, binary=True,
        )  # fmt: skip
        return session

    session = _connected(cluster, where, connect)
    with explained(cluster.server, where):
        try:
            return _collect(session, where, command[0], timeout)
        except WebSocketException as e:
            raise ClusterError(f"the connection broke: {e}", where=where, remedy="try again") from None
        finally:
            session.close(timeout=1)
            session.sock.shutdown()  # close() leaves the socket open where the server closed first


def _connected(cluster: Cluster, where: str, connect: Callable[[], WSClient]) -> WSClient:
    """The session; a kubelet or a container that has just begun anew gets some seconds to be there."""
    deadline = time.monotonic() + _ANEW
    while True:
        try:
            with explained(cluster.server, where):
                return bounded(connect, max(cluster.timeout, _HANDSHAKE), f"exec in {where}")
        except PodNotReadyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_SLICE)


def _collect(session: WSClient, where: str, program: str, timeout: float) -> ExecResult:
    """Everything the command writes, taken from the WebSocket frame by frame until the server closes it.

    Not by `WSClient.update`: it appends each frame to one bytes object (quadratic: 4 s for 24 MB), and
    what it reads together with the closing frame stays in its buffers when the caller's loop ends.
    """
    deadline = time.monotonic() + timeout
    parts: dict[int, list[bytes]] = {STDOUT_CHANNEL: [], STDERR_CHANNEL: [], ERROR_CHANNEL: []}
    session.sock.settimeout(_SLICE)
    while True:
        if time.monotonic() > deadline:
            raise ClusterWaitError(
                f"{program} did not end within {timeout:.0f} s in the Pod",
                where=where,
                remedy="look at the Pod's log; the daemon may be stuck",
            )
        try:
            code, frame = session.sock.recv_data_frame(control_frame=True)
        except WebSocketTimeoutException:
            continue  # what has come of an unfinished frame is kept
        if code == ABNF.OPCODE_CLOSE:
            break
        # Channel 255 tells that one channel ends (protocol v5); the rest of it is of no use here.
        if code in (ABNF.OPCODE_BINARY, ABNF.OPCODE_TEXT) and frame.data[:1] and frame.data[0] in parts:
            parts[frame.data[0]].append(frame.data[1:])
    out, err, status = (b"".join(parts[c]) for c in (STDOUT_CHANNEL, STDERR_CHANNEL, ERROR_CHANNEL))
    return ExecResult(_exit_code(status, where, program), out, err)


def _exit_code(status: bytes, where: str, program: str) -> int:
    try:
        answer = json.loads(status)
        if answer["status"] == "Success":
            return 0
        causes = (answer.get("details") or {}).get("causes") or []
        code = next((c["message"] for c in causes if c.get("reason") == "ExitCode"), None)
        if code is not None:
            return int(code)
        message = str(answer.get("message", ""))
    except (ValueError, KeyError, TypeError):
        message = "the connection ended without an exit code, so the output may be cut"
    raise ClusterError(
        f"{program} could not be run: {message}", where=where, remedy="check the Pod's state, then try again"
    )
