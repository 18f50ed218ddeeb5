"""What the settings schema asks of a value beyond its type. The grammar itself is in `names`."""

from __future__ import annotations

import os
import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from runbook_lib import names, pod_fields, small_files
from runbook_lib.credentials import CredentialReference

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
MOST_ITEMS = 1000  # of a list or mapping: every one is checked, and many are put on a command line


def optional(check: Any) -> AfterValidator:  # noqa: ANN401
    """Validate with `check` unless the value is empty: the empty string means "not given"."""
    return AfterValidator(lambda value: check(value) if value else value)


def each(check: Any) -> AfterValidator:  # noqa: ANN401
    """Validate every item of a list, or every value of a mapping."""

    def run(value: Any) -> Any:  # noqa: ANN401
        for item in value.values() if isinstance(value, dict) else value:
            check(item)
        return value

    return AfterValidator(run)


def credential(value: str) -> str:
    """A credential reference; never the secret itself."""
    CredentialReference.parse(value)
    return value


def version_or_image(value: str) -> str:
    """A tag alone, or an image: that has a slash, a colon or an at sign, which no tag has."""
    return names.image(value) if set(value) & set("/:@") else names.tag(value)


def arguments(value: dict[str, str]) -> dict[str, str]:
    """Build arguments: their names are variable names."""
    for variable in value:
        names.variable(variable)
    return value


def mirrors(value: dict[str, list[str]]) -> dict[str, list[str]]:
    """Registry mirrors: hosts, a mirror also with a path."""
    for mirror in [*value, *(m for group in value.values() for m in group)]:
        if "://" in mirror:
            raise ValueError(f"the mirror {mirror!r} has a scheme; write host[:port][/path]")
        names.registry_host(mirror.partition("/")[0])
    return value


def path(value: str) -> str:
    """A path whose ~ stands for a home folder that there is; the file itself may come later."""
    names.no_option(value, "path")
    try:
        small_files.expanded(value)
    except OSError as e:
        raise ValueError(f"the path cannot be used: {e.strerror}") from None
    return value


def ca_file(value: str) -> str:
    """A file that OpenSSL will be told to open: it waits at a pipe, without end."""
    if small_files.is_stream(value):
        raise ValueError("it is a pipe or a device, not a file")
    return value


def base_url(value: str) -> str:
    """The address that a mirror's files are below; it is never echoed, for it may hold a password."""
    parts = urlsplit(value)
    if parts.scheme not in ("https", "http") or any(c.isspace() for c in value):
        raise ValueError("it is not an address such as https://mirror.example/path")
    if "@" in parts.netloc:
        raise ValueError("the address holds a user name or password, which a parameter must not")
    if "?" in value or "#" in value:
        raise ValueError("the address has a query or fragment; give the folder that the files are below")
    names.registry_host(parts.netloc)
    return value


def refuse_controls(value: Any, *, many_lines: bool = False) -> None:  # noqa: ANN401
    """Refuse control characters in a text, or in any text of a list or mapping.

    No file name, user name, header or command line can carry them. `many_lines`: line ends and tabs may be.
    """
    if isinstance(value, str):
        if _CONTROLS.search(re.sub(r"[\t\n\r]", "", value) if many_lines else value):
            raise ValueError("a text holds a control character (a newline, perhaps)")
    elif isinstance(value, dict):
        refuse_controls([*value, *value.values()], many_lines=many_lines)
    elif isinstance(value, list):
        for item in value:
            refuse_controls(item, many_lines=many_lines)


def from_tuple(value: Any) -> Any:  # noqa: ANN401
    """A tuple as the list that it means; a set has no order and is left to be refused."""
    return list(value) if isinstance(value, tuple) else value


def _from_path(value: Any) -> Any:  # noqa: ANN401
    return os.fspath(value) if isinstance(value, os.PathLike) else value


Label = Annotated[str, AfterValidator(names.dns_label)]
OptionalLabel = Annotated[str, optional(names.dns_subdomain)]
Host = Annotated[str, optional(names.registry_host)]
Credential = Annotated[str, optional(credential)]
Version = Annotated[str, optional(names.version)]
Sha256 = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
Words = Annotated[list[str], Field(max_length=MOST_ITEMS)]
Quantities = Annotated[dict[str, str], AfterValidator(pod_fields.quantities)]
NodeLabels = Annotated[dict[str, str], AfterValidator(pod_fields.labels)]
Tolerations = list[Annotated[dict[str, Any], AfterValidator(pod_fields.toleration)]]
PathText = Annotated[str, BeforeValidator(_from_path), optional(path)]
"""A path; "" for none."""
CaPath = Annotated[PathText, optional(ca_file)]
BaseUrl = Annotated[str, optional(base_url)]
CacheOptions = Annotated[list[str], each(names.cache_option)]
