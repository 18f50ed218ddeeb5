"""How long the sandbox takes to come and go, and how much memory it uses: no peer, targets instead."""

from __future__ import annotations

import json
import sys

from measuring import sandbox, seconds

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 3
MIB = 1024 * 1024


def row(what: str, values: list[float], unit: str, target: float) -> None:
    shown = ", ".join(f"{value:.1f}" for value in values)
    print(f"  {what:<44} {shown} {unit}  (target at most {target:g} {unit})")


def main() -> None:
    empty, warm, memory, down, left = [], [], [], [], []
    for _ in range(ROUNDS):
        sandbox("reset", "--json")
        empty.append(seconds(lambda: sandbox("up", "--json")))
        memory.append(json.loads(sandbox("status", "--json"))["memory"] / MIB)
        down.append(seconds(lambda: left.append(json.loads(sandbox("down", "--json"))["left"])))
        warm.append(seconds(lambda: sandbox("up", "--json")))
    sandbox("reset", "--json")
    print("the sandbox, programs built and images assembled")
    row("up with empty state", empty, "s", 15)
    row("up with state kept", warm, "s", 8)
    row("memory, all processes, right after up", memory, "MiB", 900)
    row("down", down, "s", 5)
    print(f"  left behind by down: {sum(sum(found.values()) for found in left)}")


if __name__ == "__main__":
    main()
