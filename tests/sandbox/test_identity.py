"""An instance's ports: they move for another program, never for our own daemons that are still dying."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from sandbox.cluster import identity
from sandbox.cluster.identity import Identity, taken_ports


@pytest.fixture
def holder() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def test_a_port_that_is_given_up_soon_is_not_taken(holder: socket.socket) -> None:
    port = holder.getsockname()[1]
    dies = threading.Timer(0.7, holder.close)
    dies.start()
    assert taken_ports(Identity(250, {"registry": port})) == []
    dies.join()


def test_a_port_that_another_program_keeps_is_taken(
    holder: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "_DYING", 0.3)
    port = holder.getsockname()[1]
    assert taken_ports(Identity(250, {"registry": port})) == [port]
