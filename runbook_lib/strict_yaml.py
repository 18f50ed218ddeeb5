"""YAML of parameters: plain values alone, each key once, and nothing that grows while it is read."""

from __future__ import annotations

from typing import Any

import yaml

_MOST_DEPTH = 20
_MOST_EVENTS = 10_000


class YamlError(ValueError):
    """What is wrong with the text, for its reader."""


class _OnceLoader(yaml.SafeLoader):
    """The safe loader; a key given twice is refused, where YAML's own rule lets the last one win unseen."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    line = key.start_mark.line + 1
                    raise YamlError(f"the key {key.value[:80]!r} is given twice (line {line})")
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def parse(text: str | bytes) -> Any:  # noqa: ANN401
    """The one document in `text`, as plain values.

    Raises:
        YamlError: it is not valid YAML, or has aliases (a few lines of them stand for more values than any
            memory holds), deep nesting, too many values, or a key twice. The text says which, and the line.
    """
    try:
        _require_harmless(text)
        return yaml.load(text, Loader=_OnceLoader)  # noqa: S506 - a subclass of SafeLoader
    except YamlError:
        raise
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        place = f" (line {mark.line + 1})" if mark is not None else ""
        raise YamlError(f"it is not valid YAML{place}") from None
    except (ValueError, AttributeError, LookupError, TypeError, RecursionError, OverflowError):
        # What the constructors of explicit tags raise on a value that is none: !!timestamp x, !!bool x.
        raise YamlError("it is not valid YAML: a value does not fit its tag") from None


def _require_harmless(text: str | bytes) -> None:
    """Walk over the parser's events: its time grows with the square of the depth, and building is slow."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        if isinstance(event, yaml.AliasEvent):
            raise YamlError("YAML aliases are not accepted; write the value out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MOST_DEPTH:
            raise YamlError("it is not valid YAML: nested too deeply")
        if number > _MOST_EVENTS:
            raise YamlError("it holds more values than any profile needs")
