"""What the models of the settings have in common, and the model of one more registry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, field_validator

from runbook_lib import names, validators
from runbook_lib.validators import CaPath

_MANY_LINES = ("build_args", "expected_output")  # a text of several lines is a fair value of these


class Plain(BaseModel):
    """Frozen; unknown names and wrong types are refused, and control characters in any text.

    A tuple says as clearly as a list what is meant, and is taken for one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, str_max_length=4096)

    @field_validator("*", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:  # noqa: ANN401
        return validators.from_tuple(value)

    @field_validator("*")
    @classmethod
    def _without_controls(cls, value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401
        validators.refuse_controls(value, many_lines=info.field_name in _MANY_LINES)
        return value


class Registry(Plain):
    """One more registry to log in to, beside the main one: an entry of `more_registries`."""

    registry: Annotated[str, AfterValidator(names.registry_host)]
    username: str = ""
    credential: Annotated[str, AfterValidator(validators.credential)]
    ca: CaPath = ""


def require_once(hosts: Sequence[str]) -> None:
    """Refuse two entries for one registry, however its name is spelled.

    Raises:
        ValueError: naming one of them.
    """
    same = [names.canonical_host(h) for h in hosts]
    twice = sorted(h for h, one in zip(hosts, same, strict=True) if same.count(one) > 1)
    if twice:
        raise ValueError(
            f"the registry {twice[0]} is given twice in registry and more_registries; one entry per host"
        )
