"""The cache guard: a cache export that an OCIR host may refuse is stopped before the build, not after.

The source document warns that BuildKit's intermediate cache cannot be uploaded to OCIR. That is **not
verified** against OCI here, so the refusal says so, can be overridden, and can be decided by a probe.
Parsing follows buildctl's own (`cmd/buildctl/build/exportcache.go`, v0.34): CSV fields, keys without
regard to case, and a text without `type=` is a registry reference.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runbook_lib.errors import BuilderError, CacheRefusedError
from runbook_lib.findings import Finding, Findings, Status

KNOWN = ("local", "registry", "inline", "gha", "s3", "azblob")
REASON = (
    "the source document says that BuildKit's cache cannot be uploaded to OCIR (not verified against OCI), "
    "and a refused cache export fails the whole build"
)


@dataclass(frozen=True, slots=True)
class CacheOption:
    """One --export-cache or --import-cache value: its type, its other attributes, the text as given."""

    type: str
    attributes: dict[str, str] = field(default_factory=dict)
    text: str = ""

    @classmethod
    def parse(cls, text: str) -> CacheOption:
        """Read one value as buildctl reads it.

        Raises:
            CacheRefusedError: not CSV of key=value, no type, or a type that BuildKit does not know.
        """
        if "type=" not in text:
            return cls("registry", {"ref": text}, text)
        try:
            rows = list(csv.reader(io.StringIO(text), strict=True))
        except csv.Error:
            rows = []
        pairs = [part.partition("=") for row in rows for part in row]
        if len(rows) != 1 or not all(equals for _, equals, _ in pairs):
            raise _refused("it is not a list of key=value", text)
        values = {key.lower(): value for key, _, value in pairs}
        kind = values.pop("type", "")
        if kind not in KNOWN:
            raise _refused(f"BuildKit knows no cache type {kind!r} (it knows {', '.join(KNOWN)})", text)
        return cls(kind, values, text)

    def host(self, pushed_to: str) -> str:
        """The registry this cache goes to or comes from, or "" for types that touch no registry."""
        if self.type == "inline":
            return pushed_to  # it rides inside the pushed image
        if self.type != "registry":
            return ""
        first, slash, _ = self.attributes.get("ref", "").partition("/")
        return first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"


def guard(
    cache_to: Sequence[str],
    cache_from: Sequence[str],
    *,
    pushed_to: str,
    is_ocir: Callable[[str], bool],
    allowed: bool = False,
    accepts: Callable[[CacheOption], bool | None] | None = None,
    pending: bool = False,
) -> Findings:
    """Judge every cache option; nothing is sent to the daemon.

    `is_ocir(host)` says whose rules a host follows; `accepts(option)`, where given, asks the registry
    (True, False, or None for "cannot tell"); `allowed` is the explicit override. `pending`: the registry
    is not asked now, but will be before the build. A registry is only asked about exports of type
    registry to `pushed_to`: with another host there is no login, and an inline cache rides in an
    ordinary image, of which a cache manifest proves nothing.

    Raises:
        CacheRefusedError: an export to an OCIR host without permission, a refused probe, or a bad option.
    """
    found: list[Finding] = []
    for text in cache_to:
        option = CacheOption.parse(text)
        found.append(_judge_export(option, pushed_to, is_ocir, allowed, accepts, pending))
    for text in cache_from:
        option = CacheOption.parse(text)
        if option.type == "inline":
            raise _refused("inline cache is imported as type=registry,ref=<image>", text)
        subject = f"cache import {text}"
        host = option.host(pushed_to)
        if host and is_ocir(host):
            found.append(
                Finding(
                    Status.WARN,
                    subject,
                    "an import from OCIR finds nothing when " + REASON,
                    remedy=local_lines(),
                )
            )
        else:
            found.append(Finding(Status.OK, subject, f"type={option.type}"))
    return Findings(found or [Finding(Status.OK, "cache", "no cache is exported to a registry")])


def _judge_export(
    option: CacheOption,
    pushed_to: str,
    is_ocir: Callable[[str], bool],
    allowed: bool,
    accepts: Callable[[CacheOption], bool | None] | None,
    pending: bool,
) -> Finding:
    subject, host = f"cache export {option.text}", option.host(pushed_to)
    if not host:
        return Finding(Status.OK, subject, f"type={option.type} does not touch a registry")
    can_ask = option.type == "registry" and host == pushed_to
    verdict = accepts(option) if accepts is not None and can_ask else None
    if verdict is True:
        return Finding(Status.OK, subject, f"{host} accepted a cache manifest when probed")
    if allowed:
        return Finding(Status.WARN, subject, "let through by allow_registry_cache", remedy=local_lines())
    if verdict is False:
        raise _refused(f"{host} refused a cache manifest when probed", option.text)
    if pending and can_ask:
        message = f"{host} is asked before the build (probe_cache)"
        return Finding(Status.WARN, subject, message, remedy=local_lines())
    if is_ocir(host):
        ask = f"{local_lines()}, or let the registry be asked: probe_cache"
        may_ask = can_ask and accepts is None
        raise _refused(f"{host} is an OCIR host: {REASON}", option.text, ask if may_ask else "")
    return Finding(Status.OK, subject, f"{host} is not an OCIR host")


def local_lines(folder: str = "./buildkit-cache") -> str:
    """The two options to use instead."""
    return (
        "keep the cache on this machine: "
        f"--export-cache type=local,dest={folder},mode=max --import-cache type=local,src={folder} "
        "(parameter local_cache), or set allow_registry_cache"
    )


def local_options(folder: Path) -> tuple[list[str], list[str]]:
    """(exports, imports) for a local cache; it is imported only where a whole one exists.

    A broken index would fail the build: it is not imported, and `set_aside_broken` makes way for a new one.
    """
    exports = [joined({"type": "local", "dest": str(folder), "mode": "max"})]
    try:
        whole = bool(json.loads((folder / "index.json").read_text())["manifests"])
    except (OSError, ValueError, KeyError, TypeError):
        whole = False
    return exports, [joined({"type": "local", "src": str(folder)})] if whole else []


def set_aside_broken(folder: Path) -> None:
    """Rename a local cache's index that is no JSON object: buildctl would neither import nor replace it.

    Raises:
        BuilderError: it cannot be renamed.
    """
    index = folder / "index.json"
    try:
        broken = not isinstance(json.loads(index.read_text()), dict)
    except ValueError:
        broken = True
    except OSError:
        return
    if not broken:
        return
    try:
        index.replace(index.with_name("index.json.broken"))
    except OSError as e:
        raise BuilderError(
            f"the cache's broken index cannot be set aside: {e.strerror}",
            where=str(index),
            remedy="remove it, or give a writable folder in local_cache",
        ) from e


def joined(values: dict[str, str]) -> str:
    """key=value fields as buildctl's CSV reader wants them: a field with a comma or quote is quoted."""
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow([f"{k}={v}" for k, v in values.items()])
    return out.getvalue()


def _refused(what: str, text: str, remedy: str = "") -> CacheRefusedError:
    return CacheRefusedError(what, where=f"cache option {text}", remedy=remedy or local_lines())
