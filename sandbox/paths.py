"""The folders outside the repository, and how their names may be changed."""

import os
from pathlib import Path

MODULES = Path(__file__).parent / "go"


def cache_root() -> Path:
    """Where built programs and assembled images are kept; `SANDBOX_CACHE` overrides."""
    return Path(os.environ.get("SANDBOX_CACHE") or "/var/cache/buildkit-sandbox")


def state_root() -> Path:
    """Where the instances keep their state, one folder each; `SANDBOX_STATE` overrides."""
    return Path(os.environ.get("SANDBOX_STATE") or "/var/lib/buildkit-sandbox")
