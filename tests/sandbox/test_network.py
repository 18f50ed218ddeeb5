"""The bridge: its hardware address must not follow its ports, or pods lose it when another comes or goes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.cluster.network import ensure_bridge, ports_of, remove_bridge

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the sandbox needs root")
BRIDGE = "sbxtest0"


def hardware_address(name: str) -> str:
    return Path("/sys/class/net", name, "address").read_text().strip()


@pytest.fixture
def bridge() -> Iterator[str]:
    ensure_bridge(BRIDGE, "10.245.250.1")
    yield BRIDGE
    remove_bridge(BRIDGE)
    assert not Path("/sys/class/net", BRIDGE).exists()


def test_the_hardware_address_stays_when_ports_come_and_go(bridge: str) -> None:
    before = hardware_address(bridge)
    assert before == "02:00:0a:f5:fa:01"
    # Lower than any other: a bridge without an address of its own would take it.
    add = ["link", "add", "sbxtest1", "address", "00:00:00:00:00:02", "type", "veth", "peer", "sbxtest2"]
    for words in (add, ["link", "set", "sbxtest1", "master", bridge], ["link", "set", "sbxtest1", "up"]):
        subprocess.run(["ip", *words], check=True, timeout=15)
    assert ports_of(bridge) == ["sbxtest1"]
    assert hardware_address(bridge) == before
    ensure_bridge(bridge, "10.245.250.1")
    assert hardware_address(bridge) == before
