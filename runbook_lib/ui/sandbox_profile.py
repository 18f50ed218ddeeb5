"""The sandbox's profile: what it fills in, and that it leads nowhere but to the sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbook_lib.credentials import is_kept
from runbook_lib.errors import SettingsError
from runbook_lib.settings import Settings
from runbook_lib.settings_sources import default_of
from runbook_lib.ui.choices import Choices
from runbook_lib.ui.registry_box import VARIABLE
from runbook_lib.ui.texts import t

_DEMO = {"namespace": "buildkit-demo", "create_namespace": True}
# What the profile fills in: these, and what `python -m sandbox env` tells.
FILLED = (
    *_DEMO, "kubeconfig", "context", "registry", "registry_ca", "registry_username", "registry_credential",
    "docker_config", "mirrors", "kubectl",
)  # fmt: skip
# What decides whose cluster and whose registry is acted on. It is the sandbox's, whatever was typed.
_PLACE = ("kubeconfig", "context", "registry")


def fill(choices: Choices, own: Mapping[str, Any], *, anew: bool) -> None:
    """Let `choices` lead to the sandbox, whose parameters are `own`.

    What the reader has changed since they led there stays, but for the place itself; `anew` changes all back.
    """
    values = {**_DEMO, **own}
    if is_kept(VARIABLE):
        values.pop("registry_credential", None)  # a token that somebody typed is what they want used
    if not anew:
        led_here = choices.get("kubeconfig") == own["kubeconfig"]
        changed = {name for name in values if not _is_missing(choices, name)}
        kept = changed if led_here else changed & {"namespace"}
        # A switch that is off may have been turned off: there it looks like one that was never filled in.
        kept |= {"create_namespace"} if led_here else set()
        values = {name: value for name, value in values.items() if name in _PLACE or name not in kept}
    choices.update(values)


def require(settings: Settings, own: Mapping[str, Any]) -> Settings:
    """`settings`, which must lead to the sandbox.

    Raises:
        SettingsError: they lead elsewhere.
    """
    if any(getattr(settings, name) != own[name] for name in _PLACE):
        raise turned_away()
    return settings


def turned_away() -> SettingsError:
    """The error of a press in the sandbox's profile that would not act on the sandbox any more."""
    return SettingsError(
        t("another place to build was chosen meanwhile"),
        where=t("Where to build"),
        remedy=t("choose the place again, then press again"),
    )


def _is_missing(choices: Choices, name: str) -> bool:
    """Whether nothing is chosen, or a token that went with the kernel that had it."""
    value = choices.get(name)
    if name == "registry_credential" and value == f"env:{VARIABLE}":
        return not is_kept(VARIABLE)
    return bool(value == default_of(name))
