"""Going on with a run: the same folder, the same parameters, and every finished step verified again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbook_lib.errors import ResumeError
from runbook_lib.run.folder import RunFolder
from runbook_lib.settings import Settings
from runbook_lib.settings_sources import validate
from runbook_lib.steps.catalog import entry_of


def stored_run(folder: RunFolder, given: Settings) -> tuple[Settings, tuple[str, ...]]:
    """The settings and steps of the run in `folder`.

    Parameters that are given again must say the same; those not given are taken from the run.

    Raises:
        ResumeError: a given parameter differs, or run.json does not hold what this version knows.
    """
    manifest = folder.manifest()
    stored = validate(manifest.get("parameters", {}))
    _refuse_changes(folder, stored.model_dump(mode="json"), given.model_dump(mode="json", exclude_unset=True))
    steps = tuple(entry_of(str(name)).name for name in manifest.get("steps", []))
    if not steps:
        raise ResumeError("it names no steps", where=str(folder.path), remedy="start a new run")
    return stored, steps


def _refuse_changes(folder: RunFolder, stored: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    changed = sorted(k for k, v in given.items() if k != "run_dir" and v != stored.get(k))
    if changed:
        raise ResumeError(
            f"it was run with other parameters: {', '.join(changed)} differ",
            where=str(folder.path),
            remedy="give --resume alone to keep the run's own, or start a new run",
        )
