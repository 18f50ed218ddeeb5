"""Docker's config.json as a document: read strictly, written with everything it had, in its order."""

from __future__ import annotations

import json
import re
from typing import Any

from runbook_lib.errors import DockerConfigError

Document = dict[str, Any]
_HUB_KEY = "https://index.docker.io/v1/"
_HUB_HOSTS = ("docker.io", "index.docker.io", "registry-1.docker.io")
_MENDED = "mend or move the file away; it was left as it is"


def parse(content: bytes | None, where: str) -> Document:
    """The document; none or an empty file is an empty one, as for docker.

    Raises:
        DockerConfigError: not UTF-8, not JSON (with line and column), a key given twice (rewriting would
            drop one of them), or parts of the wrong type.
    """
    if content is None or not content.strip():
        return {}
    try:
        document = json.loads(
            content.decode(), object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite
        )
    except json.JSONDecodeError as e:
        raise DockerConfigError(
            f"it is not valid JSON: {e.msg}, line {e.lineno} column {e.colno}", where=where, remedy=_MENDED
        ) from None  # the exception carries the whole text, logins included
    except UnicodeDecodeError:
        raise DockerConfigError("it is not UTF-8 text", where=where, remedy=_MENDED) from None
    except RecursionError:
        raise DockerConfigError("it is nested too deeply", where=where, remedy=_MENDED) from None
    except ValueError as e:
        raise DockerConfigError(str(e), where=where, remedy=_MENDED) from None
    _check_shape(document, where)
    return dict(document)


def render(document: Document, like: bytes | None) -> bytes:
    """JSON text, indented as the old text `like` was (docker's own way, a tab, for a new file)."""
    text = like.decode(errors="replace") if like else ""
    found = re.search(r"\n([ \t]+)\S", text)
    indent = found.group(1) if found else "\t"
    end = "" if text and not text.endswith("\n") else "\n"
    try:
        return (json.dumps(document, indent=indent, ensure_ascii=False) + end).encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can only carry escaped
        return (json.dumps(document, indent=indent) + end).encode()


def lookup_key(host: str) -> str:
    """The key for which docker and BuildKit look: in credHelpers, of a helper, and first under `auths`.

    docker/cli, config/configfile getAuthConfigKey; BuildKit adds the third name of Docker Hub.
    """
    return _HUB_KEY if host in _HUB_HOSTS else host


def keys_of(document: Document, host: str) -> tuple[str, ...]:
    """The keys under `auths` that serve `host`: the key itself, else all that spell it as a URL.

    Of several docker takes any (docker/cli, config/credentials/file_store.go).
    """
    auths = document.get("auths", {})
    key = lookup_key(host)
    return (key,) if key in auths else tuple(other for other in auths if host_of(other) == key)


def key_of(document: Document, host: str) -> str:
    """The key under `auths` where the login of `host` is, or would be."""
    return next(iter(keys_of(document, host)), lookup_key(host))


def helper_of(document: Document, host: str) -> str:
    """Short name of the credential helper for `host`, or "": an empty name in credHelpers means the file."""
    helpers = document.get("credHelpers", {})
    return str(helpers.get(lookup_key(host), document.get("credsStore", "")))


def host_of(key: str) -> str:
    """The host of a key under `auths`, which may be spelled as a URL: docker's ConvertToHostname."""
    _, url, rest = key.partition("://")
    if not url:
        return key.partition("/")[0]
    authority = re.split("[/?#]", rest, maxsplit=1)[0].rpartition("@")[2].removesuffix(":")
    if authority.startswith("[") and authority.endswith("]"):
        return authority[1:-1]
    host, _, port = authority.rpartition(":")
    if ":" in host and not host.startswith("[") and re.fullmatch("[0-9]+", port):
        return f"[{host}]:{port}"
    return authority or key.partition("/")[0]


def _once(pairs: list[tuple[str, Any]]) -> Document:
    found: Document = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:80]!r} is given twice in one object; rewriting would lose one")
        found[key] = value
    return found


def _no_constant(name: str) -> Any:  # noqa: ANN401
    raise ValueError(f"it is not valid JSON: {name} is no JSON value")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text[:20]} is too large to be kept as it is")
    return value


def _check_shape(document: object, where: str) -> None:
    if not isinstance(document, dict):
        raise DockerConfigError("its top level is not a JSON object", where=where, remedy=_MENDED)
    for name, inner in (("auths", dict), ("credHelpers", str)):
        part = document.get(name, {})
        if not isinstance(part, dict) or not all(isinstance(v, inner) for v in part.values()):
            raise DockerConfigError(
                f"{name} is not an object of {'objects' if inner is dict else 'texts'}",
                where=where,
                remedy=_MENDED,
            )
    if not isinstance(document.get("credsStore", ""), str):
        raise DockerConfigError("credsStore is not a text", where=where, remedy=_MENDED)
