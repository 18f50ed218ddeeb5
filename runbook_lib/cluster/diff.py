"""Readable diffs of cluster objects: what a person set, without what the server keeps for itself."""

from __future__ import annotations

import copy
import difflib
from typing import Any

import yaml

from runbook_lib.cluster.drift import Difference
from runbook_lib.cluster.objects import Json

_NOISE = ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class _Dumper(yaml.SafeDumper):
    """YAML with long texts (a buildkitd.toml) as blocks, so that their lines can be compared."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def as_yaml(obj: Json) -> str:
    """The object as YAML, keys in their own order."""
    text: str = yaml.dump(obj, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return text


def cleaned(obj: Json) -> Json:
    """A copy without status, server-side bookkeeping and kubectl's own annotation."""
    copied = copy.deepcopy(obj)
    copied.pop("status", None)
    metadata: dict[str, Any] = copied.get("metadata", {})
    for name in _NOISE:
        metadata.pop(name, None)
    annotations = metadata.get("annotations") or {}
    annotations.pop(_LAST_APPLIED, None)
    annotations.pop("deployment.kubernetes.io/revision", None)
    if not annotations:
        metadata.pop("annotations", None)
    return copied


def unified(before: Json | None, after: Json | None, name: str) -> str:
    """Unified diff with three lines of context; None stands for "does not exist". Empty when equal."""
    old, new = (as_yaml(_sorted(cleaned(o))).splitlines() if o else [] for o in (before, after))
    lines = difflib.unified_diff(old, new, f"live/{name}", f"wanted/{name}", lineterm="")
    return "\n".join(lines)


def created(obj: Json) -> str:
    """The whole object as added lines, in the order of its manifest."""
    return "\n".join(f"+{line}" for line in as_yaml(obj).splitlines())


def field_by_field(found: list[Difference]) -> str:
    """One pair of lines a field: for changes of which the server shows no result."""
    return "\n".join(f"~{d}" for d in found)


def _sorted(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {k: _sorted(value[k]) for k in sorted(value)}
    return [_sorted(v) for v in value] if isinstance(value, list) else value
