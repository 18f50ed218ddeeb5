"""Reads out of the sources what steps say: the templates of findings, errors, remedies, events and plans.

A template is a text with a number in braces for each value: `namespace {0} does not exist`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

_HOLE = "\0"
ROOT = Path(__file__).parents[2] / "runbook_lib"
# Where every text is held to the catalogue. Shell lines for a person to type are made in the by_hand modules.
_ROOMS = ("steps", "cluster", "registry", "builder")
_BASE = (
    "bounded",
    "credentials",
    "findings",
    "journal",
    "names",
    "pod_fields",
    "schema",
    "settings",
    "settings_sources",
    "small_files",
    "strict_yaml",
    "validators",
    "web_client",
)
_OF_THE_PAGE = ("ui/children", "ui/choices", "ui/work")  # errors of its own
_NO_WORDS = ("by_hand.py", "ocir_regions.py")
COVERED = sorted(p for room in _ROOMS for p in (ROOT / room).glob("*.py") if p.name not in _NO_WORDS)
COVERED += [ROOT / f"{name}.py" for name in (*_BASE, *_OF_THE_PAGE)]
# Arguments of these are looked for in other texts, or are no text at all.
_NOT_SAID = {
    "compile", "search", "match", "fullmatch", "finditer", "findall", "sub", "get", "removeprefix", "split",
    "startswith", "endswith", "partition", "rpartition", "replace", "strip", "join", "rank", "Field", "Path",
    "strftime", "getLogger", "thread_name_prefix", "run_in_pod", "encode",
}  # fmt: skip
_COMMAND = re.compile(  # shell lines
    r"(mkdir|curl|rm|tar|echo|printf|read -rs|kubectl --context|get pods|set -)\b|export [A-Z_]+=|\$\(|--?\w"
    r"|# |\{\{|\{ printf|.*\| sha256sum|\{\d\} (delete|apply|create|rollout|wait|exec)\b"
)
_PATTERN = re.compile(r".*(\\[bdSsw]|\.\*|\|[a-z]|\(\?|\[\^)")
# What no rule above tells from prose.
_NO_PROSE = {
    "(nothing found)", '"$({0} sha256sum {1} | cut -c-64)', "+login for {0}", "<username:token, base64>",
    "Basic {0}", "Bearer {0}", "FROM {0}", "anonymous users are only allowed", "buildctl build",
    "credentials not found", "did not complete successfully: exit code", "failed to push",
    "hello from the BuildKit runbook", "kubectl{0} --namespace={1}", "no credentials server url",
    "no space left on device", "registry auth token: {0}", "remedy: {0}", "seen:   {0}",
    "status.runtimeHandlers: userNamespaces is false", "violates PodSecurity", "{0} ({1})",
    "{0} -f - <<'EOF'", "{0} -f manifests/{1}", "{0} cat {1} > {2}", "{0}.{1} is not a Step",
    "| | subject | found | remedy |",
}  # fmt: skip
_STEPS = {"install_pod", "configure_auth", "fetch_buildctl", "test_push", "operate", "clean_up"}
_VERBS = {"get", "list", "watch", "create", "patch", "delete"}
_SIGNALS = {"event", "condition", "waiting", "terminated"}


def templates() -> set[str]:
    """Every template in the covered modules."""
    return {one for path in COVERED for one in of_source(path.read_text())}


def of_source(source: str) -> Iterator[str]:
    """The templates of one module."""
    tree = ast.parse(source)
    docs = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    for text in _texts(tree, docs):
        for line in text.split("\n"):
            shown = line.strip().removeprefix("!").removeprefix("; ")
            if line.endswith(" "):
                shown += f" {_HOLE}"  # more is put behind it
            if _is_prose(shown) and numbered(shown) not in _NO_PROSE:
                yield numbered(shown)
    yield from _words(tree)


def numbered(text: str) -> str:
    """Holes as {0}, {1} …; neighbours are one."""
    parts = re.split(f"{_HOLE}+", text)
    return "".join(f"{p}{{{i}}}" if i < len(parts) - 1 else p for i, p in enumerate(parts))


def _is_prose(text: str) -> bool:
    plain = text.replace(_HOLE, "{0}")
    words = re.sub(_HOLE, " ", text).split()
    if " " not in text or not re.search(r"[A-Za-z]{2}|\(.*\)", text.replace(_HOLE, "")):
        return False
    if _COMMAND.match(plain) or _PATTERN.match(plain):
        return False
    return not set(words) <= _STEPS | _VERBS | _SIGNALS


def _words(tree: ast.Module) -> Iterator[str]:
    """Subjects, messages and remedies of one word."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            parts = node.args[1:3] if name == "Finding" else node.args[:1] if name.endswith("Error") else []
            parts += (
                [k.value for k in node.keywords if k.arg in ("where", "remedy", "subject")] if parts else []
            )
            for part in parts:
                if isinstance(part, ast.Constant) and str(part.value).isalpha():
                    yield str(part.value)


def _texts(node: ast.AST, docs: set[int]) -> Iterator[str]:
    """The texts below this node, outermost first; those inside the holes of a text, too."""
    if id(node) in docs and isinstance(node, ast.Constant):
        return
    if isinstance(node, ast.Assign) and "SCRIPT" in ast.unparse(node.targets[0]):
        return
    whole = _template(node)
    if whole is not None:
        yield whole
        for hole in _holes(node):
            yield from _texts(hole, docs)
        return
    for child in _said_children(node):
        yield from _texts(child, docs)


def _said_children(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        yield node.func
        by_name = isinstance(node.func, ast.Name)  # dataclasses.replace is no str.replace
        if name in _NOT_SAID and not (by_name and name == "replace"):
            yield from (a for a in node.args if not isinstance(a, (ast.Constant, ast.JoinedStr)))
            yield from (k.value for k in node.keywords if k.arg != "description")
            return
        seen = 3 if name == "Finding" else -1  # what was seen stays as it is
        yield from (a for i, a in enumerate(node.args) if i != seen)
        yield from (k.value for k in node.keywords if k.arg not in ("evidence", "description", "alias"))
    elif isinstance(node, ast.Compare):
        yield from (c for c in ast.iter_child_nodes(node) if not isinstance(c, ast.Constant))
    elif isinstance(node, ast.Subscript):
        yield node.value
    else:
        yield from ast.iter_child_nodes(node)


def _template(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(_template(v) or "" if isinstance(v, ast.Constant) else _HOLE for v in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        both = _template(node.left), _template(node.right)
        if both != (None, None):
            return "".join(_HOLE if one is None else one for one in both)
    return None


def _holes(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.JoinedStr):
        yield from (v.value for v in node.values if isinstance(v, ast.FormattedValue))
    elif isinstance(node, ast.BinOp):
        for side in (node.left, node.right):
            if _template(side) is None:
                yield side
            else:
                yield from _holes(side)
