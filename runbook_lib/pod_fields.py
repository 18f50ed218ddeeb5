"""Values that go into the Pod as they are, held to the rules of the Kubernetes API before it is asked.

Sources: the pages "Labels and Selectors", "Resource Management for Pods and Containers" and "Taints and
Tolerations" of Kubernetes. Each function returns its argument or raises `ValueError`.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from runbook_lib import names

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PLAIN = re.compile(r"cpu|memory|ephemeral-storage|hugepages-\d+(Ki|Mi|Gi)", re.ASCII)
_SUFFIXES = ("k", "M", "G", "T", "P", "E")


def label_key(value: str) -> str:
    """The key of a label or taint: [prefix/]name, the prefix a DNS subdomain."""
    prefix, slash, name = value.rpartition("/")
    if slash:
        names.dns_subdomain(prefix, "prefix of the label")
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"the label {value!r} is not [prefix/]name (A-Z a-z 0-9 - _ . and at most 63 characters)"
        )
    return value


def label_value(value: str) -> str:
    """The value of a label or taint; it may be empty."""
    if value and not _NAME.fullmatch(value):
        raise ValueError(f"the label value {value!r} has more than A-Z a-z 0-9 - _ . or 63 characters")
    return value


def labels(value: dict[str, str]) -> dict[str, str]:
    """Labels that a node must carry."""
    for key, text in value.items():
        label_key(key)
        label_value(text)
    return value


def quantities(value: dict[str, str]) -> dict[str, str]:
    """Resources by name: cpu, memory, ephemeral-storage, hugepages-2Mi, or those of a device plugin."""
    for key, text in value.items():
        if not _PLAIN.fullmatch(key) and ("/" not in key or label_key(key) != key):
            raise ValueError(f"there is no resource {key!r}: cpu, memory, ephemeral-storage or vendor/name")
        names.quantity(text)
    return value


def fit(requests: dict[str, str], limits: dict[str, str]) -> None:
    """Refuse a request above its limit; what a device plugin or huge pages give is never overcommitted."""
    for key in requests.keys() & limits.keys():
        low, high = _amount(requests[key]), _amount(limits[key])
        if low > high:
            raise ValueError(f"requests asks for {requests[key]} of {key}, and limits allows {limits[key]}")
        if low != high and ("/" in key or key.startswith("hugepages-")):
            raise ValueError(f"requests and limits of {key} must be the same")


def _amount(text: str) -> Decimal:
    number = text.rstrip("mkMGTPEi")
    suffix = text[len(number) :]
    if suffix == "m":
        return Decimal(number) / 1000
    power = _SUFFIXES.index(suffix[0].replace("K", "k")) + 1 if suffix else 0
    return Decimal(number) * Decimal(1024 if suffix.endswith("i") else 1000) ** power


class Toleration(BaseModel):
    """One toleration, with the field names and rules of the API."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    key: str = ""
    operator: Literal["", "Exists", "Equal", "Lt", "Gt"] = ""
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    toleration_seconds: int | None = Field(None, alias="tolerationSeconds", ge=-(2**63), lt=2**63)

    @model_validator(mode="after")
    def _together(self) -> Toleration:
        if self.key:
            label_key(self.key)
        elif self.operator != "Exists":
            raise ValueError("without a key its operator must be Exists, which tolerates every taint")
        if self.operator == "Exists" and self.value:
            raise ValueError("the operator Exists takes no value")
        label_value(self.value)
        if self.toleration_seconds is not None and self.effect != "NoExecute":
            raise ValueError("tolerationSeconds goes with the effect NoExecute alone")
        return self


def toleration(value: dict[str, Any]) -> dict[str, Any]:
    """A toleration, kept as it was written."""
    try:
        Toleration.model_validate(value)
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        message = str(first["msg"]).removeprefix("Value error, ")
        raise ValueError(f"{place}: {message}" if place else message) from None
    return value
