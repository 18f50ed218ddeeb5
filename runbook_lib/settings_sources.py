"""Where settings come from: notebook cell, command line, environment, YAML, defaults; same names.

Order, strongest first: given explicitly (papermill -p, command line), environment (`RUNBOOK_<NAME>`),
YAML profile, default. Notebooks read `RUNBOOK_PROFILE` too, so nbmake and "Run All" work without
an injected cell.
"""

from __future__ import annotations

import ast
import difflib
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, get_origin

from pydantic import ValidationError

from runbook_lib import strict_yaml
from runbook_lib.errors import InvalidParameterError, ProfileError, UnknownParameterError
from runbook_lib.settings import Settings
from runbook_lib.small_files import read_small

PREFIX = "RUNBOOK_"
PROFILE_VARIABLE = "RUNBOOK_PROFILE"
_INJECTED = "# Parameters"  # first line of the cell that papermill injects
_LITERALS = (str, int, float, bool, list, dict, type(None))


def default_of(name: str) -> Any:  # noqa: ANN401
    """The default of parameter `name`, a fresh copy where it is a list or mapping."""
    return Settings.model_fields[name].get_default(call_default_factory=True)


def load(
    explicit: Mapping[str, Any] | None = None, profile: str = "", environ: Mapping[str, str] | None = None
) -> Settings:
    """Merge the sources and validate.

    Raises:
        UnknownParameterError, InvalidParameterError, ProfileError: naming parameter and remedy.
    """
    environ = os.environ if environ is None else environ
    profile = profile or environ.get(PROFILE_VARIABLE, "")
    merged: dict[str, Any] = {}
    merged.update(from_yaml(Path(profile)) if profile else {})
    merged.update(from_environment(environ))
    merged.update(explicit or {})
    return validate(merged)


def validate(values: Mapping[str, Any]) -> Settings:
    """Validate plain values; every fault is named, the values of credentials never are."""
    refuse_unknown(values)
    try:
        return Settings.model_validate(dict(values))
    except ValidationError as e:
        faults = [_fault(error) for error in e.errors(include_url=False, include_input=False)]
        first = e.errors()[0]["loc"]
        raise InvalidParameterError(
            "; ".join(faults), where=f"parameter {first[0]}" if first else "parameters", remedy=_remedy(first)
        ) from None


def refuse_unknown(values: Mapping[str, Any]) -> None:
    """Raise `UnknownParameterError` for names the schema lacks, with the nearest known name."""
    for name in values:
        if name not in Settings.model_fields:
            near = difflib.get_close_matches(name, Settings.model_fields, n=1)
            raise UnknownParameterError(
                "no step has a parameter of this name",
                where=f"parameter {name}",
                remedy=f"did you mean {near[0]}?"
                if near
                else "`python -m runbook_lib parameters` lists them all",
            )


def from_yaml(path: Path) -> dict[str, Any]:
    """Read a profile: a YAML mapping of parameters, each of them once.

    Raises:
        ProfileError: the file cannot be read, or is not such a mapping (see `strict_yaml`).
        UnknownParameterError: a key is no parameter.
    """
    try:
        values = strict_yaml.parse(read_small(path))
    except OSError as e:
        raise ProfileError(
            f"cannot read it: {e.strerror}",
            where=str(path),
            remedy="give the path of a profile of parameters",
        ) from e
    except strict_yaml.YamlError as e:
        raise ProfileError(
            str(e), where=str(path), remedy="write each parameter once, as plain name: value lines"
        ) from None
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(k, str) for k in values):
        raise ProfileError(
            "it is not a mapping of parameters", where=str(path), remedy="write name: value lines"
        )
    refuse_unknown(values)
    return values


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Read `RUNBOOK_<NAME>` variables; lists and mappings are YAML or JSON, lists of words may use commas.

    Unknown `RUNBOOK_` names are refused like any unknown parameter.
    """
    given = {
        k[len(PREFIX) :].lower(): v
        for k, v in environ.items()
        if k.startswith(PREFIX) and k != PROFILE_VARIABLE
    }
    refuse_unknown(given)
    return {name: from_text(name, text) for name, text in given.items()}


def from_text(name: str, text: str) -> Any:  # noqa: ANN401
    """Turn the text of a variable or option into the field's own type.

    Raises:
        InvalidParameterError: the text cannot be read as that type.
    """
    annotation = Settings.model_fields[name].annotation
    kind = get_origin(annotation) or annotation
    try:
        if kind is bool:
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[
                text.lower()
            ]
        if kind in (int, float):
            return kind(text)
        if kind in (list, dict):
            stripped = text.strip()
            if kind is list and not stripped.startswith(("[", "-")):
                return [part.strip() for part in stripped.split(",") if part.strip()]
            return strict_yaml.parse(stripped)
    except (KeyError, ValueError, OverflowError):
        shown = getattr(kind, "__name__", str(kind))
        raise InvalidParameterError(
            f"the text is not a {shown}", where=f"parameter {name}", remedy=_remedy((name,))
        ) from None
    return text


def from_notebook(namespace: Mapping[str, Any]) -> Settings:
    """Settings of a notebook: its parameters cell, what papermill injected, then the environment.

    `namespace` is the cell's `globals()`. A name that papermill injected is explicit even where it
    equals the default; a name that stands in the parameters cell is explicit where it differs.

    Raises:
        UnknownParameterError: a literal was set that the schema lacks (papermill only warns).
        InvalidParameterError: a parameter's value is of a type that it does not take.
    """
    injected = _injected_names(namespace.get("In", []))
    found = {k: v for k, v in namespace.items() if _is_parameter(k, v, injected)}
    refuse_unknown({**dict.fromkeys(injected), **found})
    explicit = {k: v for k, v in found.items() if k in injected or _differs(v, default_of(k))}
    return load(explicit)


def _is_parameter(name: str, value: object, injected: Collection[str]) -> bool:
    """A literal, or anything under a parameter's name: what is of a wrong type is refused, not passed over.

    `import requests` or a helper called `image` sets no parameter, unless papermill had set one there.
    """
    if name in Settings.model_fields:
        return name in injected or not (isinstance(value, ModuleType) or callable(value))
    return not name.startswith("_") and name not in ("In", "Out") and type(value) in _LITERALS


def _differs(value: object, default: object) -> bool:
    """False for the default; what is no literal (an array, say) is not asked whether it equals one."""
    return type(value) not in _LITERALS or value != default


def _injected_names(cells: object) -> set[str]:
    """Names that cells of papermill's kind set. One that Python refused ran not at all, and set none.

    Raises:
        InvalidParameterError: that was the newest of them: what it was to set is not there.
    """
    found: set[str] = set()
    refused = False
    for source in cells if isinstance(cells, list) else []:
        if isinstance(source, str) and source.startswith(_INJECTED):
            try:
                body = ast.parse(source).body
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                refused = True
                continue
            refused = False
            found |= {
                target.id
                for node in body
                if isinstance(node, ast.Assign)
                for target in node.targets
                if isinstance(target, ast.Name)
            }
    if refused:
        raise InvalidParameterError(
            "it is not Python: a magic or a slip of the pen, perhaps",
            where=f"the cell that begins {_INJECTED}",
            remedy="write name = value lines, and run the cell again",
        )
    return found


def _fault(error: Any) -> str:  # noqa: ANN401
    place = ".".join(str(part) for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{place}: {message}" if place else message


def _remedy(location: tuple[Any, ...]) -> str:
    info = Settings.model_fields.get(str(location[0])) if location else None
    return f"it is: {info.description}" if info else "`python -m runbook_lib parameters` explains them all"
