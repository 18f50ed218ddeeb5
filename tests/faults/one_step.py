"""One step as its notebook runs it, without a kernel: one_step.py STEP PARAMETERS.json

Prints what the step's error says as the last line; exit code 0 proven, 1 a typed error, 3 anything else.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from runbook_lib.errors import RunbookError
from runbook_lib.journal import Journal
from runbook_lib.progress import silent_sink
from runbook_lib.settings_sources import validate
from runbook_lib.steps.catalog import entry_of
from runbook_lib.steps.contract import run_dir_of


def main() -> int:
    settings = validate(json.loads(Path(sys.argv[2]).read_text()))
    step = entry_of(sys.argv[1]).load()(settings, Journal(run_dir_of(settings)), silent_sink)
    try:
        step.check().require("check")
        step.plan()
        step.apply().require("apply")
        step.verify().require("verify")
    except RunbookError as e:
        said = " ".join(e.what.split())
        print(f"{type(e).__name__}: {said}" + ("" if e.remedy else " [NO REMEDY]"))
        return 1
    except Exception as e:  # noqa: BLE001  what must never come out: it is counted as a defect
        print(f"UNTYPED {type(e).__name__}: {e}")
        return 3
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # as runbook_lib/__main__.py does
