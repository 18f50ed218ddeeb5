"""The instance's bridge, by iproute2."""

import json
import subprocess
from typing import Any

from sandbox.errors import ProcessError

_TIMEOUT = 15.0


def _ip(*arguments: str, check: bool = True) -> str:
    command = ["ip", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProcessError("ip did not run", f"{' '.join(command)}: {error}", "Install iproute2.") from error
    if check and done.returncode != 0:
        raise ProcessError(
            f"ip failed ({done.returncode})",
            f"{' '.join(command)}: {done.stderr.strip()}",
            "Check that the kernel has bridges and the user may make them (CAP_NET_ADMIN).",
        )
    return done.stdout


def _links(*arguments: str) -> list[dict[str, Any]]:
    text = _ip("-json", "link", "show", *arguments, check=False)
    # Between the listing and its printing a veth may go away; ip then prints nothing or `{}` for it.
    return [link for link in json.loads(text or "[]") if link.get("ifname")]


def foreign_networks() -> set[int]:
    """The N of every 10.244.N.x address on this machine."""
    interfaces = json.loads(_ip("-json", "-4", "addr", "show") or "[]")
    addresses = [str(info.get("local", "")) for link in interfaces for info in link.get("addr_info", [])]
    return {int(address.split(".")[2]) for address in addresses if address.startswith("10.244.")}


def ensure_bridge(name: str, address: str) -> None:
    """The bridge exists, carries `address`/24 and is up; nothing changes when it already does."""
    if not _links("dev", name):
        _ip("link", "add", "name", name, "type", "bridge")
    # Without an address of its own a bridge takes its ports' lowest: each pod that comes or goes may change
    # it, and the other pods then send to the old one for half a minute.
    hardware = ":".join(["02", "00", *(f"{int(part):02x}" for part in address.split("."))])
    if _links("dev", name)[0].get("address") != hardware:
        _ip("link", "set", "dev", name, "address", hardware)
    _ip("addr", "replace", f"{address}/24", "dev", name)
    _ip("link", "set", "dev", name, "up")


def ports_of(bridge: str) -> list[str]:
    """The interfaces (host ends of veth pairs) enslaved to the bridge."""
    return [str(link["ifname"]) for link in _links("master", bridge)] if bridge_exists(bridge) else []


def bridge_exists(name: str) -> bool:
    """Whether an interface of that name is there."""
    return bool(_links("dev", name))


def remove_bridge(name: str) -> None:
    """Remove the bridge and the veth pairs on it."""
    for port in ports_of(name):
        _ip("link", "delete", "dev", port, check=False)
    if bridge_exists(name):
        _ip("link", "delete", "dev", name)
