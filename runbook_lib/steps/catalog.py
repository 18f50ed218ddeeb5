"""Which steps there are, by name. Classes load lazily: one notebook needs one step's dependencies."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from runbook_lib.errors import UnknownParameterError
from runbook_lib.steps.contract import Step


@dataclass(frozen=True, slots=True)
class StepEntry:
    """One row of the catalog: step name, class name (its module has the step's name), notebook file."""

    name: str
    class_name: str
    notebook: str
    title: str

    def load(self) -> type[Step]:
        """Import the step's module and return its class."""
        module = importlib.import_module(f"runbook_lib.steps.{self.name}")
        found = getattr(module, self.class_name)
        if not (isinstance(found, type) and issubclass(found, Step)):
            raise TypeError(f"{module.__name__}.{self.class_name} is not a Step")
        return found


CATALOG: dict[str, StepEntry] = {
    e.name: e
    for e in (
        StepEntry("install_pod", "InstallPod", "01_install_pod.ipynb", "Install the builder"),
        StepEntry("configure_auth", "ConfigureAuth", "02_configure_auth.ipynb", "Log in to the registry"),
        StepEntry("fetch_buildctl", "FetchBuildctl", "03_fetch_buildctl.ipynb", "Fetch buildctl"),
        StepEntry("test_push", "TestPush", "04_test_push.ipynb", "Build, push and prove it"),
        StepEntry("operate", "Operate", "90_operate.ipynb", "Look after the builder"),
        StepEntry("clean_up", "CleanUp", "99_clean_up.ipynb", "Clean up"),
    )
}
DEFAULT_STEPS = ("install_pod", "configure_auth", "fetch_buildctl", "test_push")


def entry_of(name: str) -> StepEntry:
    """The catalog row of step `name`.

    Raises:
        UnknownParameterError: there is no such step.
    """
    if name not in CATALOG:
        raise UnknownParameterError(
            "there is no step of this name", where=f"step {name}", remedy=f"one of {', '.join(CATALOG)}"
        )
    return CATALOG[name]
