"""What the guided page's kernel does, over and over in one process: soak_page.py PARAMETERS.json ROUNDS

Each round carries out the four steps with a build of its own, and prints a JSON object: round, seconds, rss
(bytes), descriptors, threads, digest.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from runbook_lib.findings import Findings
from runbook_lib.journal import Journal
from runbook_lib.plan import Plan
from runbook_lib.progress import silent_sink
from runbook_lib.settings_sources import validate
from runbook_lib.steps.carry_out import carry_out
from runbook_lib.steps.catalog import DEFAULT_STEPS, entry_of
from runbook_lib.steps.contract import run_dir_of


def main() -> None:
    given: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    own = psutil.Process()
    for number in range(int(sys.argv[2])):
        begun = time.monotonic()
        tag = f"page-{number}"
        settings = validate({**given, "tags": [tag], "build_args": {"ROUND": f"{tag}-{time.time()}"}})
        journal = Journal(run_dir_of(settings))
        for name in DEFAULT_STEPS:
            carry_out(entry_of(name).load()(settings, journal, silent_sink), _unseen)
        seen = {
            "round": number,
            "seconds": round(time.monotonic() - begun, 2),
            "rss": own.memory_info().rss,
            "descriptors": own.num_fds(),
            "threads": own.num_threads(),
            "tag": tag,
            "digest": journal.look_up("pushed_digest"),
        }
        print(json.dumps(seen), flush=True)


def _unseen(_phase: str, _result: Findings | Plan | None) -> None:
    """Nobody looks at this page."""


if __name__ == "__main__":
    main()
