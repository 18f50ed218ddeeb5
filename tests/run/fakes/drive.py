"""The command line over the fake world: drive.py NOTEBOOKS WORDS…"""

from __future__ import annotations

import sys
from pathlib import Path

import fake_world

from runbook_lib.run import execution
from runbook_lib.run.cli import main

execution._FROZEN = 1.0  # the tests have not ten seconds
fake_world.install(Path(sys.argv[1]))
sys.exit(main(sys.argv[2:]))
