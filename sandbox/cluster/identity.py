"""What tells an instance from its neighbours: its network number and its ports, chosen once and kept."""

import contextlib
import json
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from sandbox.cluster.layout import Layout, existing_instances, layout_for
from sandbox.cluster.network import foreign_networks
from sandbox.console import Reporter
from sandbox.double.files import replace_file
from sandbox.errors import PlatformError, StateError
from sandbox.locks import hold
from sandbox.paths import state_root

PORT_NAMES = (
    "apiserver",
    "etcd",
    "etcd-peer",
    "controller-manager",
    "scheduler",
    "kubelet",
    "kubelet-healthz",
    "registry",
    "registry-upstream",
    "registry-admin",
)
# Below the usual ephemeral range (32768…), so that no client socket takes a port while an instance is down.
_FIRST_PORT, _PORTS_EACH = 20000, 40
_NETWORKS = range(256)
_DYING = 5.0  # seconds for which a killed daemon's ports may still be held


@dataclass(frozen=True)
class Identity:
    """The instance's network number N (subnet 10.244.N.0/24, bridge sbxN) and its ports by purpose."""

    network: int
    ports: dict[str, int]

    @property
    def subnet(self) -> str:
        """The pods' subnet."""
        return f"10.244.{self.network}.0/24"

    @property
    def address(self) -> str:
        """The bridge's own address: the node's address, and the registry's as pods and the host see it."""
        return f"10.244.{self.network}.1"

    @property
    def bridge(self) -> str:
        """The bridge's name."""
        return f"sbx{self.network}"

    @property
    def registry(self) -> str:
        """The registry as `host:port`."""
        return f"{self.address}:{self.ports['registry']}"


def load_identity(layout: Layout) -> Identity | None:
    """The kept identity, or None for an instance without state. Raises StateError for a damaged file."""
    try:
        stored = json.loads(layout.identity.read_bytes())
        return Identity(int(stored["network"]), {name: int(stored["ports"][name]) for name in PORT_NAMES})
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StateError(
            "the identity file is damaged",
            str(layout.identity),
            f"Remove the state: python -m sandbox reset --instance {layout.name}",
        ) from error


def choose_identity(layout: Layout, reporter: Reporter) -> Identity:
    """Choose and keep a network and ports that no other instance and no other program has."""
    with hold(state_root() / ".network.lock", "the choice of a network", 30, reporter):
        taken = _networks_of_others(layout) | foreign_networks()
        kept = load_identity(layout)
        network = kept.network if kept else next((n for n in _NETWORKS if n not in taken), None)
        if network is None:
            raise PlatformError(
                "no free subnet is left", "10.244.0.0/16", "Reset instances that are not used."
            )
        identity = Identity(network, _free_ports(_FIRST_PORT + network * _PORTS_EACH))
        save_identity(layout.identity, identity)
    return identity


def _networks_of_others(layout: Layout) -> set[int]:
    """The networks of the other instances; one with a damaged file holds its own only by its bridge."""
    taken: set[int] = set()
    for name in existing_instances():
        with contextlib.suppress(StateError):
            other = load_identity(layout_for(name)) if name != layout.name else None
            taken |= {other.network} if other else set()
    return taken


def save_identity(path: Path, identity: Identity) -> None:
    """Keep the identity, in one step."""
    replace_file(path, json.dumps(asdict(identity), indent=1).encode(), mode=0o644)


def port_is_free(port: int) -> bool:
    """Whether nobody listens on the TCP port, on any address."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Without it a port just given up (TIME_WAIT) would count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def taken_ports(identity: Identity) -> list[int]:
    """The ports that somebody else holds. A daemon of ours that was killed keeps its own for a moment.

    To take that for another program would move the registry away from under the builders that know it.
    """
    deadline = time.monotonic() + _DYING
    while taken := [port for port in identity.ports.values() if not port_is_free(port)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return taken


def _free_ports(first: int) -> dict[str, int]:
    free = [port for port in range(first, first + _PORTS_EACH) if port_is_free(port)]
    if len(free) < len(PORT_NAMES):
        raise PlatformError(
            "too few free TCP ports",
            f"{first}-{first + _PORTS_EACH - 1}",
            "Stop the programs that hold them.",
        )
    return dict(zip(PORT_NAMES, free, strict=False))
