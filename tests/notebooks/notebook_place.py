"""What the notebooks' tests share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any



@dataclass(frozen=True)
class Place:
    """Where the notebooks of one module work: `profile` is a YAML file of its parameters."""

    parameters: dict[str, Any]
    folder: Path

    @property
    def profile(self) -> Path:
        return self.folder / "profile.yaml"

    @property
    def environ(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("RUNBOOK_")}
        return {**kept, "HOME": str(self.folder)}
