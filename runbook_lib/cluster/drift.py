"""How a live object differs from what we set: field by field, pure functions.

Two questions are asked. Does every field that we set have our value (defaults that the server adds are no
drift)? And does the server still hold fields that we set once and set no longer? The second is answered
from `metadata.managedFields` (format FieldsV1 of structured-merge-diff: `f:` a field, `k:` a list item by
key, `v:` a value, `.` the item itself).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from runbook_lib.cluster.binding import FIELD_MANAGER
from runbook_lib.cluster.manifest import CONFIG_HASH, SET_TOLERATIONS
from runbook_lib.cluster.objects import Json

ABSENT = "(absent)"
_KEYS = ("name", "mountPath", "containerPort")
# Only these may change in a living Pod (Kubernetes: "Pod update and replacement").
_MUTABLE = re.compile(r"spec\.containers\[[^]]*\]\.image$|spec\.(activeDeadlineSeconds|tolerations\[.*)")
_QUANTITY = re.compile(r"\.resources\.(requests|limits)\.[^.]+$")


@dataclass(frozen=True, slots=True)
class Difference:
    """One field: its path, the live value and the wanted one (`ABSENT` where there is none)."""

    path: str
    live: Any
    wanted: Any

    def __str__(self) -> str:
        return f"{self.path}: {_shown(self.live)} → {_shown(self.wanted)}"


def differences(live: Json, wanted: Json) -> list[Difference]:
    """Every field in which `live` is not what `wanted` sets, and those that we set once and no longer."""
    fields = {k: v for k, v in wanted.items() if k not in ("apiVersion", "kind")}
    found = list(_changed(fields, live, ""))
    for entry in live.get("metadata", {}).get("managedFields") or []:
        if entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply":
            found += _removed(entry.get("fieldsV1") or {}, wanted, live, "")
    return found


def unchangeable(kind: str, found: list[Difference]) -> list[Difference]:
    """Those differences that a living object of `kind` cannot take in place."""
    if kind == "Pod":
        return [d for d in found if _is_fixed_in_pod(d)]
    if kind == "Deployment":
        return [d for d in found if d.path.startswith("spec.selector")]
    return []


def _is_fixed_in_pod(d: Difference) -> bool:
    if CONFIG_HASH in d.path:  # it could change, but the daemon would not notice
        return True
    if SET_TOLERATIONS in d.path and d.live is not ABSENT:  # more may come, but none may go or change
        return not set(d.live.split("; ")) <= set(str(d.wanted).split("; "))
    if not d.path.startswith("spec."):
        return False
    return d.wanted is ABSENT or not _MUTABLE.fullmatch(d.path)


def _changed(wanted: Any, live: Any, path: str) -> Iterator[Difference]:  # noqa: ANN401
    if isinstance(wanted, dict) and isinstance(live, dict):
        for key, value in wanted.items():
            yield from _changed(value, live.get(key, ABSENT), _join(path, key))
    elif isinstance(wanted, list) and isinstance(live, list):
        yield from _changed_items(wanted, live, path)
    elif wanted in ({}, []) and live is ABSENT:
        return  # the server drops empty mappings and lists
    elif not _equal(wanted, live, path):
        yield Difference(path, live, wanted)


def _changed_items(wanted: list[Any], live: list[Any], path: str) -> Iterator[Difference]:
    key = _key_of(wanted)
    if key:
        by_key = {item.get(key): item for item in live if isinstance(item, dict)}
        for item in wanted:
            yield from _changed(item, by_key.get(item[key], ABSENT), f"{path}[{key}={item[key]}]")
    elif path == "spec.tolerations" or path.endswith(".spec.tolerations"):
        for index, item in enumerate(wanted):  # the server adds its own
            if item not in live:
                yield Difference(f"{path}[{index}]", ABSENT, item)
    elif wanted != live:
        yield Difference(path, live, wanted)


def _removed(fields: Json, wanted: Any, live: Any, path: str) -> list[Difference]:  # noqa: ANN401
    found: list[Difference] = []
    for mark, below in fields.items():
        kind, _, name = mark.partition(":")
        if kind == "f":
            step, here = name, _join(path, name)
            mine = wanted.get(step, ABSENT) if isinstance(wanted, dict) else wanted
            theirs = live.get(step, ABSENT) if isinstance(live, dict) else live
        elif kind == "k":
            match = json.loads(name)
            here = f"{path}[{','.join(f'{k}={v}' for k, v in match.items())}]"
            mine, theirs = _item(wanted, match), _item(live, match)
        else:
            continue
        if mine is ABSENT:
            found += [Difference(here, theirs, ABSENT)] if theirs is not ABSENT else []
        elif below:
            found += _removed(below, mine, theirs, here)
    return found


def _item(items: Any, match: Json) -> Any:  # noqa: ANN401
    if not isinstance(items, list):
        return ABSENT
    fit = (i for i in items if isinstance(i, dict) and all(i.get(k, v) == v for k, v in match.items()))
    return next(fit, ABSENT)


def _key_of(items: list[Any]) -> str:
    return next((k for k in _KEYS if items and all(isinstance(i, dict) and k in i for i in items)), "")


def _equal(wanted: Any, live: Any, path: str) -> bool:  # noqa: ANN401
    if _QUANTITY.search(path) and live is not ABSENT:
        return bool(parse_quantity(wanted) == parse_quantity(live))
    return bool(wanted == live and type(wanted) is type(live))


def _join(path: str, key: str) -> str:
    part = f'["{key}"]' if "." in key or "/" in key else key
    return f"{path}{part}" if part.startswith("[") or not path else f"{path}.{part}"


def _shown(value: Any) -> str:  # noqa: ANN401
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else text[:120] + " …"
