"""The command line's options, drawn from the settings schema: same names, same help, same rules."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin

from runbook_lib.errors import SettingsError
from runbook_lib.settings import Settings
from runbook_lib.settings_sources import PREFIX, default_of, from_text, load, refuse_unknown

_PARAMETER = "parameter_"  # argparse destination, so that no parameter meets an option of our own


def add_parameters(parser: argparse.ArgumentParser) -> None:
    """Give `parser` an option for every parameter: --registry-ca, also as --registry_ca."""
    group = parser.add_argument_group("parameters (also RUNBOOK_<NAME> variables, or lines of --profile)")
    group.add_argument("--profile", default="", metavar="FILE", help="a YAML file of parameters")
    for name, info in Settings.model_fields.items():
        spellings = dict.fromkeys((f"--{name.replace('_', '-')}", f"--{name}"))
        more: dict[str, Any] = {"nargs": "?", "const": "true"} if info.annotation is bool else {}
        group.add_argument(
            *spellings,
            dest=_PARAMETER + name,
            metavar=_metavar(name, info.annotation),
            help=(info.description or "").replace("%", "%%"),
            **more,
        )


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Merge the options with environment and profile, and validate.

    Raises:
        SettingsError: naming the parameter and the remedy.
    """
    given = {
        name: from_text(name, text)
        for name in Settings.model_fields
        if (text := getattr(arguments, _PARAMETER + name)) is not None
    }
    return load(given, arguments.profile)


def refuse_rest(rest: Sequence[str]) -> None:
    """Refuse what no option took. Values are never repeated: one of them may be a password.

    Raises:
        SettingsError: always, unless `rest` is empty.
    """
    for word in rest:
        if word.startswith("--"):
            refuse_unknown({word[2:].partition("=")[0].replace("-", "_"): ""})
    if rest:
        raise SettingsError(
            "there is a word that belongs to no option (not repeated here, it might be a secret)",
            where="command line",
            remedy="put values that hold spaces in quotes; `parameters` lists the options",
        )


def kind_of(name: str) -> str:
    """A short word for the type of a parameter: text, number, yes/no, list, mapping, or its choices."""
    return _kind(Settings.model_fields[name].annotation)


def table() -> list[tuple[str, str, str, str, str]]:
    """(name, type, default, help, environment variable) of every parameter."""
    return [
        (name, kind_of(name), _shown(default_of(name)), info.description or "", f"{PREFIX}{name.upper()}")
        for name, info in Settings.model_fields.items()
    ]


def _metavar(name: str, annotation: Any) -> str:  # noqa: ANN401
    """Choices as they are typed; the names of other types in capitals, as is usual in --help."""
    kind = kind_of(name)
    return kind if get_origin(annotation) is Literal else kind.upper()


def _kind(annotation: Any) -> str:  # noqa: ANN401
    origin = get_origin(annotation) or annotation
    if origin is Literal:
        return "|".join(str(a) for a in get_args(annotation) if a != "")  # empty: not given
    return {
        str: "text",
        int: "whole number",
        float: "number",
        bool: "yes/no",
        list: "list",
        dict: "mapping",
    }.get(origin, "text")


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ",".join(str(v) for v in value) or "–"
    return str(value) if value not in ("", {}) else "–"
