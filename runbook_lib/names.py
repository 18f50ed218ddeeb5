"""The grammar of names: what Kubernetes, registries and BuildKit accept. Pure functions, no I/O.

Sources: RFC 1123 and the Kubernetes page "Object Names and IDs" for objects; the distribution
project's reference grammar for hosts, repositories, tags and digests; OCI image-spec for platforms.
Each function returns its argument or raises `ValueError` with a sentence for the reader.
"""

from __future__ import annotations

import ipaddress
import re

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_HOST_LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?")
_COMPONENT = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"[a-z0-9]+([+._-][a-z0-9]+)*:[0-9a-f]{32,}")
_HEX = re.compile(r"(sha\d{3}:)?[0-9a-f]{64,128}", re.ASCII)
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(/[a-z0-9.]+)?")
_QUANTITY = re.compile(r"\d+(\.\d+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?", re.ASCII)
_VERSION = re.compile(r"v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?", re.ASCII)
_SECRET_KEY = re.compile(r"[-._A-Za-z0-9]{1,253}")
_PORT = re.compile(r"[1-9][0-9]{0,4}")  # no zero in front: 05000 is another text for the same port
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _no_controls(value: str, kind: str) -> None:
    if any(ord(c) < 32 or ord(c) == 127 for c in value):
        raise ValueError(f"the {kind} holds a control character (a newline, perhaps)")
    if value != value.strip():
        raise ValueError(f"the {kind} begins or ends with a space")
    no_option(value, kind)


def no_option(value: str, kind: str) -> str:
    """Any text that a command does not take for an option."""
    if value.startswith("-"):
        raise ValueError(f"the {kind} begins with '-', which a command would take for an option")
    return value


def stage(value: str) -> str:
    """The name of a build stage; what it may be is the frontend's matter."""
    _no_controls(value, "stage")
    return value


def cache_option(value: str) -> str:
    """A cache export or import, as buildctl writes them: type=…,key=…"""
    _no_controls(value, "cache option")
    if not value:
        raise ValueError("a cache option is written type=…,key=…")
    return value


def dns_label(value: str, kind: str = "name") -> str:
    """A namespace, Pod, Deployment or Secret name: RFC 1123 label, at most 63 characters."""
    _no_controls(value, kind)
    if len(value) > 63:
        raise ValueError(f"the {kind} has {len(value)} characters; 63 is the most")
    if not _LABEL.fullmatch(value):
        raise ValueError(
            f"the {kind} {value!r} may only have a-z, 0-9 and '-', and begins and ends with a-z or 0-9"
        )
    return value


def dns_subdomain(value: str, kind: str = "name") -> str:
    """A Secret or ConfigMap name: RFC 1123 subdomain, at most 253 characters."""
    _no_controls(value, kind)
    if len(value) > 253 or not all(_LABEL.fullmatch(part) for part in value.split(".")):
        raise ValueError(f"the {kind} {value!r} is not a DNS subdomain (a-z, 0-9, '-', '.'; 253 characters)")
    return value


def secret_key(value: str) -> str:
    """A key of a Secret or ConfigMap; the text is not echoed, for it may be a secret."""
    if not _SECRET_KEY.fullmatch(value):
        raise ValueError("a key may only have A-Z, a-z, 0-9, '-', '_' and '.'; 253 characters")
    return value


def registry_host(value: str) -> str:
    """A registry host with an optional port: DNS name, IPv4, or [IPv6]. No scheme, no path."""
    kind = "registry host"
    _no_controls(value, kind)
    if "://" in value:
        raise ValueError(f"the registry host {value!r} has a scheme; write only host[:port]")
    if "/" in value:
        raise ValueError(
            f"the registry host {value!r} has a path; the path belongs in the parameter repository"
        )
    if "@" in value:
        raise ValueError(f"the {kind} holds '@'; a user name belongs in the parameter registry_username")
    host, port = _split_port(value)
    if port is not None and not (_PORT.fullmatch(port) and int(port) < 65536):
        raise ValueError(f"the registry host {value!r} has the port {port!r}; a port is 1 to 65535")
    _check_host(host, value)
    return value


def canonical_host(value: str) -> str:
    """One spelling for one registry: lower case, the shortest IPv6, no port where it is that of HTTPS, and
    docker.io for Docker Hub's other names.
    """
    host, port = _split_port(value.lower())
    if ":" in host:
        host = f"[{ipaddress.IPv6Address(host).compressed}]"
    if host in ("index.docker.io", "registry-1.docker.io"):
        host = "docker.io"
    return host if port in (None, "443") else f"{host}:{port}"


def _split_port(value: str) -> tuple[str, str | None]:
    if value.startswith("["):
        host, bracket, rest = value.partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"the registry host {value!r} has an unclosed or misplaced '['")
        if ":" not in host or "%" in host:
            raise ValueError(f"the registry host {value!r} has brackets, but no plain IPv6 address in them")
        return host[1:], rest[1:] if rest else None
    if value.count(":") > 1:
        raise ValueError(f"the registry host {value!r} looks like IPv6; write it in brackets, [::1]:5000")
    host, colon, port = value.partition(":")
    return host, port if colon else None


def _check_host(host: str, value: str) -> None:
    if ":" in host:
        ipaddress.IPv6Address(host)
        return
    if not host or len(host) > 253:
        raise ValueError(f"the registry host {value!r} is empty or longer than 253 characters")
    if host.replace(".", "").isdigit():
        try:
            ipaddress.IPv4Address(host)
        except ValueError as e:
            raise ValueError(f"the registry host {value!r} is not an IPv4 address") from e
        return
    if not host.isascii() or not all(len(p) < 64 and _HOST_LABEL.fullmatch(p) for p in host.split(".")):
        raise ValueError(f"the registry host {value!r} is not a DNS name (letters, digits, '-', '.')")


def repository(value: str) -> str:
    """A repository path below the host: lower-case components joined by '/', at most 255 characters."""
    _no_controls(value, "repository")
    if len(value) > 255:
        raise ValueError(f"the repository has {len(value)} characters; 255 is the most")
    if ":" in value or "@" in value:
        raise ValueError(f"the repository {value!r} holds a tag or digest; tags belong in the parameter tags")
    bad = next((part for part in value.split("/") if not _COMPONENT.fullmatch(part)), None)
    if bad is not None:
        raise ValueError(
            f"the repository {value!r} has the component {bad!r}; "
            "components are a-z and 0-9, joined by '.', '_', '__' or '-'"
        )
    return value


def tag(value: str) -> str:
    """An image tag: at most 128 characters of A-Z a-z 0-9 _ . -, not beginning with . or -."""
    _no_controls(value, "tag")
    if not _TAG.fullmatch(value):
        raise ValueError(f"the tag {value!r} is not well formed (A-Z a-z 0-9 _ . -; at most 128 characters)")
    return value


def digest(value: str) -> str:
    """An image digest such as sha256:<64 hex characters>, which are lower-case for every registry."""
    if not _DIGEST.fullmatch(value) or (value.startswith("sha256:") and len(value) != 71):
        raise ValueError(f"the digest {value!r} is not well formed (sha256: and 64 hex characters)")
    return value


def image(value: str) -> str:
    """A full image reference for a manifest: [host/]repository[:tag][@digest]."""
    _no_controls(value, "image")
    if "://" in value:
        raise ValueError(f"the image {value!r} has a scheme; write host/repository:tag")
    if _HEX.fullmatch(value):
        raise ValueError(f"the image {value[:20]}… is a digest alone; write host/repository@sha256:…")
    rest, at, dig = value.partition("@")
    if at:
        digest(dig)
    head, slash, tail = rest.rpartition("/")
    path, colon, tag_part = tail.partition(":")
    if colon:
        tag(tag_part)
    full = f"{head}{slash}{path}"
    first, slash, below = full.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry_host(first)
        full = below
    repository(full)
    return value


def platform(value: str) -> str:
    """A platform such as linux/amd64 or linux/arm/v7."""
    if not _PLATFORM.fullmatch(value):
        raise ValueError(f"the platform {value!r} is not os/architecture[/variant], such as linux/amd64")
    return value


def quantity(value: str) -> str:
    """A Kubernetes resource quantity such as 500m, 2, 4Gi."""
    if not _QUANTITY.fullmatch(value):
        raise ValueError(f"the quantity {value!r} is not a Kubernetes quantity, such as 500m, 2 or 4Gi")
    return value


def version(value: str) -> str:
    """A release version with its v, such as v0.34.2."""
    if not _VERSION.fullmatch(value):
        raise ValueError(f"the version {value!r} is not of the form v1.2.3")
    return value


def variable(value: str) -> str:
    """An environment variable or build argument name."""
    if not _VARIABLE.fullmatch(value):
        raise ValueError(f"the name {value!r} is not a variable name (letters, digits, '_'; no digit first)")
    return value
