"""The one settings schema: notebook parameters, command line, environment and YAML are drawn from it.

Every field has a description (the help text everywhere) and the steps that read it. All fields are
plain literals, so papermill can pass them; secrets are only ever references.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue, model_validator
from pydantic.config import JsonDict

from runbook_lib import names, pod_fields, validators
from runbook_lib.credentials import CredentialReference
from runbook_lib.schema import Plain, Registry, require_once
from runbook_lib.validators import (
    BaseUrl,
    CacheOptions,
    CaPath,
    Credential,
    Host,
    Label,
    NodeLabels,
    OptionalLabel,
    PathText,
    Quantities,
    Sha256,
    Tolerations,
    Version,
    Words,
    each,
    optional,
)

DEFAULT_IMAGE = "docker.io/moby/buildkit:v0.34.2"
STEPS = ("install_pod", "configure_auth", "fetch_buildctl", "test_push", "operate", "clean_up")
ALL = " ".join(STEPS)


def _p(default: Any, description: str, *, steps: str = ALL, **more: Any) -> Any:  # noqa: ANN401
    """A parameter: its default, its help text, and the steps whose notebooks show it."""
    extra: JsonDict = {"steps": list[JsonValue](steps.split())}
    if isinstance(default, list | dict):
        more.setdefault("max_length", validators.MOST_ITEMS)
        return Field(default_factory=default.copy, description=description, json_schema_extra=extra, **more)
    return Field(default, description=description, json_schema_extra=extra, **more)


Mode = Literal["privileged", "userns", "rootless"]


class Settings(Plain):
    """All parameters of the runbook."""

    # -- target -----------------------------------------------------------------------------
    kubeconfig: PathText = _p("", "kubeconfig file; empty: $KUBECONFIG, else ~/.kube/config")
    context: str = _p("", "kubeconfig context to work on; empty: the current context")
    namespace: Label = _p("default", "namespace of the builder")
    name: Label = _p("buildkitd", "name of the builder Pod (or Deployment)")
    kind: Literal["pod", "deployment"] = _p(
        "pod", "run the builder as a Pod (as the source document) or a Deployment"
    )
    run_dir: PathText = _p(
        "",
        "notebooks: folder of the journal, empty: runs/interactive; command line: folder that holds one"
        " folder for each run, empty: runs",
    )
    keep_runs: int = _p(
        50,
        "headless runs to keep in run_dir; a new run removes the oldest beyond that; 0: keep all",
        steps="",
        ge=0,
        le=100_000,
    )
    request_timeout: float = _p(15.0, "seconds that one API or registry request may take", gt=0, le=300)
    language: Literal["", "en", "zh_CN"] = _p(
        "", "language of the guided texts, en or zh_CN; empty: JupyterLab's, else the system's"
    )

    # -- 01 install_pod -----------------------------------------------------------------------
    mode: Mode = _p(
        "privileged",
        "how the builder is confined: privileged, userns or rootless",
        steps="install_pod test_push operate",
    )
    image: Annotated[str, optional(names.image)] = _p(
        DEFAULT_IMAGE,
        "builder image, fully qualified; rootless mode adds -rootless to the tag",
        steps="install_pod",
    )
    requests: Quantities = _p(
        {}, "resource requests, such as {'cpu': '500m', 'memory': '1Gi'}", steps="install_pod operate"
    )
    limits: Quantities = _p({}, "resource limits, such as {'memory': '4Gi'}", steps="install_pod operate")
    node_selector: NodeLabels = _p(
        {}, "node labels that the builder needs", steps="install_pod operate test_push"
    )
    tolerations: Tolerations = _p(
        [], "Kubernetes tolerations of the builder", steps="install_pod operate test_push"
    )
    image_pull_secret: OptionalLabel = _p(
        "", "Secret with which the builder image is pulled", steps="install_pod operate"
    )
    mirrors: Annotated[dict[str, Words], AfterValidator(validators.mirrors)] = _p(
        {},
        "registry mirrors for the builder, such as {'docker.io': ['mirror.example:5000']}",
        steps="install_pod operate",
    )
    create_namespace: bool = _p(False, "create the namespace where it is missing", steps="install_pod")
    allow_replace: bool = _p(
        False, "replace a builder Pod whose unchangeable fields differ", steps="install_pod operate"
    )
    ready_timeout: float = _p(
        180.0,
        "seconds for the builder to be Ready, and for a run of the pushed image to end",
        steps="install_pod test_push operate",
        gt=0,
        le=3600,
    )

    # -- 02 configure_auth ----------------------------------------------------------------------
    registry: Host = _p("", "registry to push to, host[:port]; for OCIR iad.ocir.io and its like")
    registry_username: str = _p(
        "",
        "user name; for OCIR <namespace>/<user> or <namespace>/<domain>/<user>",
        steps="configure_auth test_push",
    )
    registry_credential: Credential = _p(
        "",
        "where the auth token is: env:NAME, file:PATH, secret:NAMESPACE/NAME/KEY or prompt",
        steps="configure_auth",
    )
    registry_ca: CaPath = _p(
        "",
        "CA file (PEM) of a registry with a private CA",
        steps="install_pod configure_auth test_push operate",
    )
    registry_flavor: Literal["auto", "ocir", "distribution"] = _p(
        "auto", "whose rules the registry follows; auto: by its host name", steps="configure_auth test_push"
    )
    more_registries: list[Registry] = _p(
        [], "further registries: a list of {registry, username, credential, ca}", steps="configure_auth"
    )
    auth_method: Literal["file", "docker", "oci"] = _p(
        "file",
        "file: write the docker config; docker: docker login; oci: short-lived OCIR token",
        steps="configure_auth",
    )
    try_user_names: bool = _p(
        False,
        "when OCIR refuses a login, try up to 3 other user names; each try is a failed login",
        steps="configure_auth",
    )
    docker_config: PathText = _p(
        "",
        "folder of config.json; empty: $DOCKER_CONFIG, else ~/.docker",
        steps="configure_auth test_push clean_up",
    )
    push_secret: OptionalLabel = _p(
        "",
        "also keep the logins in the cluster, as a dockerconfigjson Secret of this name",
        steps="configure_auth clean_up",
    )

    # -- 03 fetch_buildctl ----------------------------------------------------------------------
    buildctl_sources: list[Literal["pod", "path", "file", "release"]] = _p(
        ["pod", "path", "file", "release"], "where buildctl may come from, in order", steps="fetch_buildctl"
    )
    buildctl: PathText = _p(
        "", "buildctl to use as it is; empty: what this step fetched", steps="fetch_buildctl test_push"
    )
    buildctl_version: Version = _p(
        "", "release to fetch; empty: the daemon's own version", steps="fetch_buildctl"
    )
    buildctl_sha256: Sha256 = _p("", "expected sha256 of the buildctl tarball", steps="fetch_buildctl")
    buildctl_archive: PathText = _p("", "a BuildKit release tarball on this machine", steps="fetch_buildctl")
    buildctl_url: BaseUrl = _p("", "mirror of the BuildKit releases (base address)", steps="fetch_buildctl")
    kubectl: PathText = _p(
        "", "kubectl to use as it is; empty: from PATH, else fetched", steps="fetch_buildctl test_push"
    )
    kubectl_version: Version = _p(
        "", "kubectl release to fetch; empty: the server's version", steps="fetch_buildctl"
    )
    kubectl_sha256: Sha256 = _p("", "expected sha256 of kubectl", steps="fetch_buildctl")
    kubectl_url: BaseUrl = _p("", "mirror of the Kubernetes releases (base address)", steps="fetch_buildctl")
    client_platform: Annotated[str, optional(names.platform)] = _p(
        "", "platform of the fetched binaries; empty: this machine's", steps="fetch_buildctl"
    )
    bin_dir: PathText = _p("", "folder for fetched binaries; empty: the user's data folder", steps=ALL)

    # -- 04 test_push ---------------------------------------------------------------------------
    repository: Annotated[str, optional(names.repository)] = _p(
        "",
        "repository below the registry; empty: <namespace>/buildkit-runbook/hello"
        " (Docker Hub: <user>/buildkit-runbook-hello)",
        steps="configure_auth test_push",
    )
    tags: Annotated[list[str], each(names.tag), Field(min_length=1)] = _p(
        ["test.01"], "tags to push", steps="test_push"
    )
    context_dir: PathText = _p(
        "", "build context; empty: the sample that comes with the runbook", steps="test_push"
    )
    dockerfile: PathText = _p("", "Dockerfile; empty: Dockerfile in the build context", steps="test_push")
    build_args: Annotated[dict[str, str], AfterValidator(validators.arguments)] = _p(
        {}, "build arguments (never secrets: they stay in the image)", steps="test_push"
    )
    build_target: Annotated[str, optional(names.stage)] = _p(
        "", "stage to build; empty: the last", steps="test_push"
    )
    platforms: Annotated[list[str], each(names.platform)] = _p(
        [], "platforms to build for; empty: the builder's", steps="test_push"
    )
    local_cache: PathText = _p("", "folder for BuildKit's local cache; empty: none", steps="test_push")
    cache_to: CacheOptions = _p([], "further cache exports, as buildctl writes them", steps="test_push")
    cache_from: CacheOptions = _p([], "further cache imports, as buildctl writes them", steps="test_push")
    allow_registry_cache: bool = _p(
        False, "let a registry or inline cache export through to an OCIR host", steps="test_push"
    )
    probe_cache: bool = _p(False, "ask the registry whether it takes cache manifests", steps="test_push")
    run_image: bool = _p(False, "run the pushed image as a Pod and check its output", steps="test_push")
    expected_output: str = _p("", "text the run image must print; empty: the sample's", steps="test_push")
    build_timeout: float = _p(
        900.0, "seconds that the build may take in all", steps="test_push", gt=0, le=86400
    )
    stall_timeout: float = _p(120.0, "seconds without any progress", steps="test_push", gt=0, le=3600)

    # -- 90 operate -----------------------------------------------------------------------------
    upgrade_to: Annotated[str, optional(validators.version_or_image)] = _p(
        "", "version to bring the builder to: a tag such as v0.34.2, or a whole image", steps="operate"
    )
    probe_run: bool = _p(
        False, "build a RUN step in the running builder and say as whom it runs", steps="operate"
    )
    probe_modes: list[Mode] = _p(
        [], "modes to try out with a temporary builder: privileged, userns, rootless", steps="operate"
    )
    probe_image: Annotated[str, AfterValidator(names.image)] = _p(
        "docker.io/library/busybox:latest", "image that a probe builds on; it needs a shell", steps="operate"
    )
    look_only: bool = _p(
        False, "ask the cluster alone, run nothing in the Pod: needs no right to exec", steps="operate"
    )
    prune: bool = _p(False, "remove what of the builder's cache no build is using", steps="operate")

    # -- 99 clean_up ----------------------------------------------------------------------------
    remove_login: bool = _p(False, "also remove the logins this runbook wrote", steps="clean_up")
    remove_binaries: bool = _p(False, "also remove the fetched binaries", steps="clean_up")

    @property
    def credentials(self) -> tuple[CredentialReference, ...]:
        """The credential references that are given, the main registry's first."""
        given = (self.registry_credential, *(r.credential for r in self.more_registries))
        return tuple(CredentialReference.parse(text) for text in given if text)

    @model_validator(mode="after")
    def _together(self) -> Settings:
        require_once(
            [*(r.registry for r in self.more_registries), *([self.registry] if self.registry else [])]
        )
        changing = [n for n in ("upgrade_to", "probe_run", "probe_modes", "prune") if getattr(self, n)]
        if self.look_only and changing:
            raise ValueError(f"look_only does not go with {changing[0]}, which does more than look")
        pod_fields.fit(self.requests, self.limits)
        return self


def fields_of(step: str) -> dict[str, Any]:
    """Name -> pydantic FieldInfo of the parameters that `step`'s notebook shows, in schema order."""
    picked = {}
    for name, info in Settings.model_fields.items():
        extra = info.json_schema_extra
        if isinstance(extra, dict) and step in extra["steps"]:  # type: ignore[operator]
            picked[name] = info
    return picked
