"""`python -m runbook_lib`: the runbook from the command line."""

from __future__ import annotations

import sys

from runbook_lib.run.cli import main

sys.exit(main())
