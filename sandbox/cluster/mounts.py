"""The mounts below a folder, in this mount namespace (proc(5), mountinfo)."""

import os
import re
import subprocess
from pathlib import Path

_TABLE = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(rb"\\([0-7]{3})")


def mounts_below(root: Path) -> list[str]:
    """Mount points below `root`, deepest last.

    In bytes: a path may hold any letters, also those that Python takes for a space or a line's end. Only four
    come as octal escapes.
    """
    lines = _TABLE.read_bytes().rstrip(b"\n").split(b"\n")
    points = [os.fsdecode(_ESCAPED.sub(_unescaped, line.split(b" ")[4])) for line in lines]
    return [point for point in points if point.startswith(f"{root}/")]


def _unescaped(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 8)])


def unmount_below(root: Path) -> None:
    """Unmount everything below `root`, lazily: what still uses a mount must not keep it."""
    # Mounts may lie on mounts, so one pass may uncover another; ten are more than any pod has.
    for _ in range(10):
        points = mounts_below(root)
        if not points:
            return
        command = ["umount", "--lazy", *reversed(points)]
        subprocess.run(command, capture_output=True, timeout=30, check=False)
