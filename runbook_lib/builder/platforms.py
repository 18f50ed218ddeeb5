"""Which platform a binary is for, read from its first bytes, and which one this machine is.

Numbers: e_machine of the ELF specification, cputype of Mach-O's `mach/machine.h`.
"""

from __future__ import annotations

import platform
import struct
import sys

HEADER = 20  # bytes that `of_header` needs
_ELF = {62: "amd64", 183: "arm64", 40: "arm", 243: "riscv64", 22: "s390x", 21: "ppc64le"}
_MACH = {0x01000007: "amd64", 0x0100000C: "arm64"}
_MACHINE = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64", "armv7l": "arm"}


def this_machine() -> str:
    """This machine as os/architecture, in Go's words: linux/amd64, darwin/arm64."""
    machine = platform.machine().lower()
    return f"{'windows' if sys.platform == 'win32' else sys.platform}/{_MACHINE.get(machine, machine)}"


def of_header(head: bytes) -> str:
    """The platform of a binary whose first `HEADER` bytes are given, or "" when they are no binary's."""
    if len(head) < HEADER:
        return ""
    if head[:4] == b"\x7fELF":
        order = "<" if head[5] == 1 else ">"
        (machine,) = struct.unpack_from(f"{order}H", head, 18)
        return f"linux/{_ELF.get(machine, f'elf-{machine}')}"
    if head[:4] == b"\xcf\xfa\xed\xfe":
        (cpu,) = struct.unpack_from("<I", head, 4)
        return f"darwin/{_MACH.get(cpu, f'mach-{cpu}')}"
    return "windows/amd64" if head[:2] == b"MZ" else ""


def base(name: str) -> str:
    """os/architecture without a variant: linux/arm/v7 is linux/arm."""
    return "/".join(name.split("/")[:2])
