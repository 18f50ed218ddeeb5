"""The kubeconfig as files: which they are, what they hold together, and the entries of a context."""

from __future__ import annotations

import os
from typing import Any

import urllib3
import yaml

from runbook_lib.errors import ContextNotFoundError
from runbook_lib.settings import Settings
from runbook_lib.small_files import barred, expanded, is_stream, read_small

ANEW = "write the kubeconfig of this cluster anew"
_MOST_BYTES = 4_000_000  # hundreds of clusters with their certificates


def kubeconfig_paths(settings: Settings) -> str:
    """Existing kubeconfig files, joined as $KUBECONFIG joins them; "" where there are none.

    Raises:
        ContextNotFoundError: the parameter names a file that is not there, or that this user may not reach.
    """
    if settings.kubeconfig:
        path = _existing(settings.kubeconfig)
        if not path:
            why = barred(settings.kubeconfig)
            raise ContextNotFoundError(
                f"the kubeconfig cannot be read ({why})" if why else "the kubeconfig file does not exist",
                where=settings.kubeconfig,
                remedy="correct the parameter kubeconfig",
            )
        return path
    given = os.environ.get("KUBECONFIG", "") or "~/.kube/config"
    return os.pathsep.join(p for c in given.split(os.pathsep) if c and (p := _existing(c)))


def _existing(candidate: str) -> str:
    """The path of a regular file, its ~ replaced; "" where it is none or out of reach."""
    try:
        path = expanded(candidate)
        return str(path) if path.is_file() else ""
    except OSError:
        return ""


def context_names(settings: Settings) -> tuple[list[str], str]:
    """(names of the contexts of the kubeconfig, the current one or "").

    Raises:
        ContextNotFoundError: no kubeconfig, or one that cannot be read.
    """
    merged = merged_of(kubeconfig_paths(settings), settings)
    names = [str(c.get("name")) for c in merged["contexts"] if isinstance(c, dict)]
    return names, str(merged.get("current-context") or "")


def merged_of(paths: str, settings: Settings) -> dict[str, Any]:
    """What the files hold together: contexts, clusters, users and current-context.

    Raises:
        ContextNotFoundError: no file, one that cannot be read, or no context in any.
    """
    remedy = "write one with `oci ce cluster create-kubeconfig`, or set the parameter kubeconfig"
    if not paths:
        looked = settings.kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
        why = next(filter(None, map(barred, filter(None, looked.split(os.pathsep)))), "")
        what = f"the kubeconfig cannot be read ({why})" if why else "there is no kubeconfig"
        raise ContextNotFoundError(what, where=looked, remedy=remedy)
    merged: dict[str, Any] = {}
    for path in paths.split(os.pathsep):
        _merge(merged, path)
    if not merged.get("contexts"):
        raise ContextNotFoundError("the kubeconfig has no contexts", where=paths, remedy=remedy)
    return merged


def _merge(merged: dict[str, Any], path: str) -> None:
    """Add one file: the first file that names an entry wins, as in kubectl."""
    try:
        document = yaml.safe_load(read_small(path, _MOST_BYTES).decode()) or {}
        for section in ("contexts", "users", "clusters"):
            merged.setdefault(section, []).extend(e for e in document.get(section) or [] if "name" in e)
        merged["current-context"] = merged.get("current-context") or document.get("current-context")
    except (yaml.YAMLError, OSError, ValueError, AttributeError, TypeError, LookupError, RecursionError) as e:
        reason = e.strerror if isinstance(e, OSError) else type(e).__name__
        raise ContextNotFoundError(
            f"the kubeconfig cannot be read ({reason})",
            where=path,
            remedy="mend its YAML, or write it anew",
        ) from None


def entry(merged: dict[str, Any], section: str, name: str) -> dict[str, Any]:
    """The first entry of this name in contexts, clusters or users; {} where there is none."""
    entries = merged.get(section) or []
    return next((e for e in entries if isinstance(e, dict) and e.get("name") == name), {})


def require_context(merged: dict[str, Any], context: str, paths: str) -> None:
    """Refuse a context that is not there, listing those that are.

    Raises:
        ContextNotFoundError: no such context, or none was chosen.
    """
    known = [str(c.get("name")) for c in merged["contexts"] if isinstance(c, dict)]
    if context not in known:
        what = f"there is no context {context!r}" if context else "no current context is set"
        raise ContextNotFoundError(
            f"{what}; the contexts are: {', '.join(known)}", where=paths, remedy="set the parameter context"
        )


def of_context(merged: dict[str, Any], context: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(cluster, user) of a context, each a mapping of what the kubeconfig says about it.

    Raises:
        ContextNotFoundError: one of them is missing or malformed, or the cluster has no usable address.
    """
    where = f"context {context}"
    chosen = _mapping(entry(merged, "contexts", context), "context", where)
    found = []
    for section in ("cluster", "user"):  # the client would go on without, and be told 403 as a stranger
        named = entry(merged, f"{section}s", str(chosen.get(section)))
        if not named:
            raise ContextNotFoundError(
                f"the context names the {section} {chosen.get(section)!r}, which the kubeconfig lacks",
                where=where,
                remedy=ANEW,
            )
        found.append(_mapping(named, section, where))
    cluster, user = found
    _mapping(user, "exec", where)
    _mapping(user, "auth-provider", where)
    if is_stream(str(user.get("tokenFile") or "")):
        raise ContextNotFoundError(
            "its tokenFile is a pipe or a device, not a file", where=where, remedy=ANEW
        )
    if not _is_address(cluster.get("server")):
        raise ContextNotFoundError(
            "the server of its cluster is not a usable address, such as https://host:6443",
            where=where,
            remedy=ANEW,
        )
    return cluster, user


def _mapping(owner: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    value = owner.get(key) or {}
    if not isinstance(value, dict):
        raise ContextNotFoundError(f"its {key} is not a mapping", where=where, remedy=ANEW)
    return value


def _is_address(value: object) -> bool:
    try:
        parts = urllib3.util.parse_url(value) if isinstance(value, str) else None
    except urllib3.exceptions.HTTPError:
        return False
    return parts is not None and parts.scheme in ("http", "https") and bool(parts.host)
