"""Bad files: rows of the table of bad input whose fault is in a file, or in what stands in its place."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bad_row import Row

from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.manifest import _read_pem
from runbook_lib.credentials import CredentialReference
from runbook_lib.errors import (
    ClusterAuthError,
    ContextNotFoundError,
    DockerConfigError,
    InvalidParameterError,
    MalformedCredentialError,
    MissingCredentialError,
    ProfileError,
    RunbookError,
)
from runbook_lib.registry.docker_config import DockerConfigFile
from runbook_lib.settings_sources import load

CONTEXTS = ("my oke", "--kubeconfig=/etc/x", "a" * 254, "\u202ea", "a;id", "$(id)", "../x", " ")
TOKENS: dict[str, bytes] = {"line break": b"a\nb", "tab": b"a\tb", "byte order mark": b"\xef\xbb\xbftoken"}
LARGE: dict[str, bytes] = {"of 5 MB": b"x" * 5_000_000, "of 64 kB and one": b"x" * (64 * 1024 + 1)}
_SERVER = {"server": "https://127.0.0.1:1"}
_OTHER = "~nosuchuser/x"
STREAMS: dict[str, tuple[Callable[[Path], object], type[RunbookError], str]] = {
    "credential": (lambda f: _resolve(f"file:{f}"), MissingCredentialError, "pipe or a device"),
    "profile": (lambda f: load(profile=str(f), environ={}), ProfileError, "pipe or a device"),
    "kubeconfig": (
        lambda f: Cluster.bind(load({"kubeconfig": str(f)}, environ={})),
        ContextNotFoundError,
        "does not exist",
    ),
    "docker config": (lambda f: DockerConfigFile(f).load(), DockerConfigError, "pipe or a device"),
    "registry_ca": (lambda f: load({"registry_ca": str(f)}, environ={}), InvalidParameterError, "pipe"),
    "CA of another registry": (
        lambda f: load(
            {"more_registries": [{"registry": "a.io", "credential": "env:X", "ca": str(f)}]}, environ={}
        ),
        InvalidParameterError,
        "pipe",
    ),
    "CA of the builder": (lambda f: _read_pem(str(f)), InvalidParameterError, "pipe"),
    "token of a kubeconfig": (
        lambda f: _kubeconfig(f.parent, user={"tokenFile": str(f)}),
        ContextNotFoundError,
        "pipe",
    ),
}
NO_FILES = (
    Row("credential from a device", lambda _: _resolve("file:/dev/zero"), MissingCredentialError, "device"),
    Row("credential from a folder", lambda f: _resolve(f"file:{f}"), MissingCredentialError, "folder"),
    Row("credential of nobody", lambda _: _resolve(f"file:{_OTHER}"), MissingCredentialError, "home folder"),
    Row(
        "credential with NUL", lambda _: CredentialReference("file", "a\0b").resolve(), MissingCredentialError
    ),
    Row("profile of nobody", lambda _: load(profile=_OTHER, environ={}), ProfileError, "home folder"),
    Row("profile with NUL", lambda _: load(profile="a\0b", environ={}), ProfileError, "character"),
    Row("profile from a device", lambda _: load(profile="/dev/zero", environ={}), ProfileError, "device"),
    Row("docker config with NUL", lambda _: DockerConfigFile(Path("a\0b")).load(), DockerConfigError),
    Row(
        "docker config from a device", lambda _: DockerConfigFile(Path("/dev/zero")).load(), DockerConfigError
    ),
    Row("CA of the builder from a device", lambda _: _read_pem("/dev/zero"), InvalidParameterError, "device"),
)
KUBECONFIGS: dict[str, tuple[dict[str, Any], type[RunbookError], str]] = {
    "user is a text": ({"user": "admin"}, ContextNotFoundError, "user is not a mapping"),
    "user is a list": ({"user": ["admin"]}, ContextNotFoundError, "user is not a mapping"),
    "auth-provider gcp": ({"user": {"auth-provider": {"name": "gcp"}}}, ClusterAuthError, "auth-provider"),
    "auth-provider oidc": ({"user": {"auth-provider": {"name": "oidc"}}}, ClusterAuthError, "auth-provider"),
    "auth-provider is a text": ({"user": {"auth-provider": "gcp"}}, ContextNotFoundError, "not a mapping"),
    "exec is a text": ({"user": {"exec": "oci"}}, ContextNotFoundError, "exec is not a mapping"),
    "context is a text": ({"context": "c"}, ContextNotFoundError, "context is not a mapping"),
    "cluster is a text": ({"cluster": "c"}, ContextNotFoundError, "cluster is not a mapping"),
    "cluster without server": (
        {"cluster": {"insecure-skip-tls-verify": True}},
        ContextNotFoundError,
        "server",
    ),
    "server is a number": ({"cluster": {"server": 6443}}, ContextNotFoundError, "server"),
    "server is no address": ({"cluster": {"server": "not a url"}}, ContextNotFoundError, "server"),
    "server of another scheme": ({"cluster": {"server": "ftp://x"}}, ContextNotFoundError, "server"),
    "bad port": ({"cluster": {"server": "https://h:99999999"}}, ContextNotFoundError, "server"),
    "bad proxy": ({"cluster": {**_SERVER, "proxy-url": "http://[::1"}}, ContextNotFoundError, "proxy"),
    "proxy of another scheme": (
        {"cluster": {**_SERVER, "proxy-url": "ftp://x"}},
        ContextNotFoundError,
        "proxy",
    ),
    "proxy is a number": ({"cluster": {**_SERVER, "proxy-url": 8080}}, ContextNotFoundError, "proxy"),
    "token is a list": ({"user": {"username": 1, "password": 2}}, ContextNotFoundError, "cannot be used"),
}
KUBECONFIG_TEXTS: dict[str, tuple[bytes, str]] = {
    "deep": (b"contexts: " + b"[" * 100_000, "RecursionError"),
    "large": (b"# " + b"x" * 4_000_000, "larger"),
    "date": (b"contexts: !!timestamp x", "AttributeError"),
    "bool": (b"contexts: !!bool x", "KeyError"),
    "empty number": (b"contexts: !!int ''", "IndexError"),
    "a text": (b"just text", "AttributeError"),
    "a number in a list": (b"contexts: [1]", "TypeError"),
    "two documents": (b"a: 1\n---\nb: 2", "ComposerError"),
}


def _kubeconfig(folder: Path, chosen: str = "there", **parts: Any) -> object:  # noqa: ANN401
    """Bind to a kubeconfig of one context, whose `context`, `cluster` or `user` is as given."""
    whole = {"context": {"cluster": "c", "user": "u"}, "cluster": _SERVER, "user": {"token": "x"}, **parts}
    names = {"context": "there", "cluster": "c", "user": "u"}
    config = {f"{key}s": [{"name": names[key], key: value}] for key, value in whole.items()}
    text = json.dumps({"apiVersion": "v1", "kind": "Config", **config})
    return _bind(folder, text.encode(), chosen)


def _bind(folder: Path, content: bytes, context: str = "") -> object:
    (folder / "kubeconfig").write_bytes(content)
    return Cluster.bind(load({"context": context, "kubeconfig": str(folder / "kubeconfig")}, environ={}))


def _stream(folder: Path, call: Callable[[Path], object]) -> object:
    os.mkfifo(folder / "pipe")
    return call(folder / "pipe")


def _resolve(reference: str) -> object:
    return CredentialReference.parse(reference).resolve()


def _token(folder: Path, content: bytes) -> object:
    (folder / "token").write_bytes(content)
    return _resolve(f"file:{folder / 'token'}")


def rows() -> Iterator[Row]:
    """The rows of this module."""
    for context in CONTEXTS:
        row = f"context {context[:40]!r}"
        yield Row(row, lambda f, c=context: _kubeconfig(f, c), ContextNotFoundError, "there")
    for name, (parts, error, says) in KUBECONFIGS.items():
        yield Row(f"kubeconfig {name}", lambda f, p=parts: _kubeconfig(f, **p), error, says)
    for name, (content, says) in KUBECONFIG_TEXTS.items():
        yield Row(f"kubeconfig {name}", lambda f, c=content: _bind(f, c), ContextNotFoundError, says)
    for name, (stream, error, says) in STREAMS.items():
        yield Row(f"{name} from a pipe", lambda f, s=stream: _stream(f, s), error, says)
    for name, content in TOKENS.items():
        yield Row(f"token {name}", lambda f, c=content: _token(f, c), MalformedCredentialError, "control")
    for name, content in LARGE.items():
        yield Row(f"token {name}", lambda f, c=content: _token(f, c), MalformedCredentialError, "larger")
    yield from NO_FILES
