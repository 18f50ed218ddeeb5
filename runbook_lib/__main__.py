"""`python -m runbook_lib`: run the notebooks, plan, clean up, report, list the parameters."""

from __future__ import annotations

import os
import sys
import threading

from runbook_lib.credentials import forbid_core_files
from runbook_lib.run.cli import main

if __name__ == "__main__":
    forbid_core_files()
    code = main()
    if threading.active_count() > 1:
        # A library call that hangs was left in a thread (see bounded.py). Python would end it in
        # the middle of foreign code, which has been seen to abort the process, and its exit code with it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
