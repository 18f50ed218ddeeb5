"""The objects to apply: the plain YAML of `manifests/`, with the settings laid over it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import tomli_w
import yaml

from runbook_lib.cluster.labels import CONTAINER, labels
from runbook_lib.cluster.objects import Json
from runbook_lib.errors import InvalidParameterError
from runbook_lib.settings import DEFAULT_IMAGE, Mode, Settings
from runbook_lib.small_files import read_small

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"
CONFIG_HASH = "buildkit-runbook/config-sha256"
SET_TOLERATIONS = "buildkit-runbook/tolerations"
CONFIG_DIR = "/etc/buildkit"
_LONGEST = 63  # characters of a label's value, which a builder's name is, too
_MOST_CA_BYTES = 500_000  # a ConfigMap holds 1 MiB in all


def load(name: str) -> Json:
    """One manifest file as it is, for example `pod.privileged.yaml`."""
    document: Json = yaml.safe_load((MANIFESTS / name).read_text(encoding="utf-8"))
    return document


def namespace_of(settings: Settings) -> Json:
    """The namespace, labelled as made by the runbook: whoever cleans up can tell it from others'."""
    metadata = {"name": settings.namespace, "labels": labels(settings.name)}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def render(settings: Settings) -> list[Json]:
    """The objects in the order in which they are applied: a ConfigMap where one is needed, the builder.

    Raises:
        InvalidParameterError: a CA file cannot be read or is not PEM.
    """
    config = _config_map(settings)
    builder = _builder(settings)
    if config is None:
        return [builder]
    template = builder["spec"]["template"] if builder["kind"] == "Deployment" else builder
    _mount(template, settings, config)
    return [config, builder]


def _builder(settings: Settings) -> Json:
    pod = load(f"pod.{settings.mode}.yaml")
    spec = pod["spec"]
    container = spec["containers"][0]
    container["image"] = image_of(settings)
    resources = {"requests": dict(settings.requests), "limits": dict(settings.limits)}
    if any(resources.values()):
        container["resources"] = {k: v for k, v in resources.items() if v}
    if settings.node_selector:
        spec["nodeSelector"] = dict(settings.node_selector)
    if settings.tolerations:
        spec["tolerations"] = [dict(t) for t in settings.tolerations]
    if settings.image_pull_secret:
        spec["imagePullSecrets"] = [{"name": settings.image_pull_secret}]
    if settings.kind == "deployment":
        document = load("deployment.privileged.yaml")
        document["spec"]["selector"]["matchLabels"] = labels(settings.name)
        document["spec"]["template"] = {"metadata": {"labels": labels(settings.name)}, "spec": spec}
    else:
        document = pod
    document["metadata"] = _metadata(settings, settings.name)
    if settings.tolerations:
        document["metadata"]["annotations"] = {SET_TOLERATIONS: _noted(settings)}
    return document


def _noted(settings: Settings) -> str:
    """Each toleration without its seconds, which may change: in a living Pod others' stand beside ours."""
    kept = ({k: v for k, v in t.items() if k != "tolerationSeconds"} for t in settings.tolerations)
    return "; ".join(sorted(json.dumps(t, sort_keys=True) for t in kept))


def image_of(settings: Settings) -> str:
    """The builder's image; rootless mode adds `-rootless` to a tag that lacks it (never to a digest)."""
    image = settings.image or DEFAULT_IMAGE
    rootless_tag = "@" in image or image.endswith("rootless")
    return image if settings.mode != "rootless" or rootless_tag else f"{image}-rootless"


def spec_of(builder: Json) -> Json:
    """The Pod's spec in a live or rendered builder, be it a Pod or a Deployment."""
    spec: Json = builder["spec"]["template"]["spec"] if builder["kind"] == "Deployment" else builder["spec"]
    return spec


def mode_of(builder: Json) -> Mode:
    """The mode in which a builder of the runbook was made, told by what sets the manifests apart."""
    spec = spec_of(builder)
    if spec.get("hostUsers") is False:
        return "userns"
    containers = spec["containers"]  # others' sidecars may come first
    ours = next((c for c in containers if c.get("name") == CONTAINER), containers[0])
    context = ours.get("securityContext") or {}
    return "privileged" if context.get("privileged") else "rootless"


def probe_name(settings: Settings, mode: Mode) -> str:
    """Name of the temporary builder with which `mode` is tried out beside the builder of these settings."""
    suffix = f"-probe-{mode}"
    return settings.name[: _LONGEST - len(suffix)].rstrip("-") + suffix


def config_name(settings: Settings) -> str:
    """Name of the ConfigMap that holds buildkitd.toml."""
    return f"{settings.name}-config"


def _metadata(settings: Settings, name: str) -> Json:
    return {"name": name, "namespace": settings.namespace, "labels": labels(settings.name)}


def authorities_of(settings: Settings) -> dict[str, str]:
    """The CA file of each host that has one of its own; mirrors are taken to have the registry's."""
    found = {r.registry: r.ca for r in settings.more_registries if r.ca}
    if settings.registry_ca:
        hosts = {m.partition("/")[0] for mirrors in settings.mirrors.values() for m in mirrors}
        found = dict.fromkeys([settings.registry, *hosts], settings.registry_ca) | found
    return {host: path for host, path in found.items() if host}


def _config_map(settings: Settings) -> Json | None:
    data: dict[str, str] = {}
    registries: dict[str, Json] = {source: {"mirrors": list(m)} for source, m in settings.mirrors.items()}
    files: dict[str, str] = {}
    for host, path in sorted(authorities_of(settings).items()):
        if path not in files:
            files[path] = "ca.pem" if not files else f"ca-{len(files)}.pem"
            data[files[path]] = _read_pem(path)
        registries.setdefault(host, {})["ca"] = [f"{CONFIG_DIR}/{files[path]}"]
    if not registries:
        return None
    data["buildkitd.toml"] = tomli_w.dumps({"registry": registries})
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(settings, config_name(settings)),
        "data": data,
    }


def _read_pem(path: str) -> str:
    try:
        text = read_small(path, _MOST_CA_BYTES).decode("ascii")
    except (OSError, UnicodeDecodeError) as e:
        reason = e.strerror if isinstance(e, OSError) else "it is not text"
        raise InvalidParameterError(
            f"the CA file cannot be read: {reason}", where=path, remedy="correct the parameter registry_ca"
        ) from None
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise InvalidParameterError(
            "the CA file holds no PEM certificate", where=path, remedy="give a PEM file"
        )
    if "PRIVATE KEY-----" in text:
        raise InvalidParameterError(
            "the CA file holds a private key", where=path, remedy="give the certificate alone"
        )
    return text


def _mount(template: Json, settings: Settings, config: Json) -> None:
    """Mount the ConfigMap. Its hash goes to the Pod's annotations: the daemon reads it only at start."""
    content = "\0".join(f"{k}\0{v}" for k, v in sorted(config["data"].items()))
    annotations = template["metadata"].setdefault("annotations", {})
    annotations[CONFIG_HASH] = hashlib.sha256(content.encode()).hexdigest()
    spec = template["spec"]
    spec.setdefault("volumes", []).append(
        {"name": "config", "configMap": {"name": config["metadata"]["name"]}}
    )
    container = spec["containers"][0]
    mount = {"name": "config", "mountPath": CONFIG_DIR, "readOnly": True}
    container.setdefault("volumeMounts", []).append(mount)
    if settings.mode == "rootless":  # the rootless daemon looks below its home by default
        container.setdefault("args", []).extend(["--config", f"{CONFIG_DIR}/buildkitd.toml"])
