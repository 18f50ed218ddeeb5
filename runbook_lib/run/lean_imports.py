"""Keep a costly optional module out of an import."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

IRI_PARSER = "rfc3987_syntax"
"""What jsonschema checks the formats `iri` and `iri-reference` with, where it is installed. Its import builds
a parser, which takes a second; the schemas of notebooks have no such format."""


@contextmanager
def without_module(name: str) -> Iterator[None]:
    """Let imports inside find that the module `name` is not installed; later ones find it again.

    A module that was imported before stays. `None` in `sys.modules` is Python's own way to halt an import.
    """
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.modules.pop(name, None)
