"""From settings to a build request, with the cache guard in between: what notebook 04's verbs share."""

from __future__ import annotations

import os
from pathlib import Path

from runbook_lib.builder.build_request import BuildRequest
from runbook_lib.builder.cache_guard import CacheOption, guard, local_options
from runbook_lib.cluster.manifest import authorities_of
from runbook_lib.errors import BuildFailedError, InvalidParameterError
from runbook_lib.findings import Findings
from runbook_lib.journal import Journal
from runbook_lib.registry.cache_probe import probe
from runbook_lib.registry.client import RegistryClient
from runbook_lib.registry.docker_config import DockerConfigFile, config_path
from runbook_lib.registry.logins import Login
from runbook_lib.registry.ocir import flavor_of
from runbook_lib.registry.reference import Reference
from runbook_lib.registry.targets import repository_of
from runbook_lib.settings import Settings
from runbook_lib.small_files import barred

SAMPLE = Path(__file__).resolve().parents[1] / "samples" / "hello"
SAMPLE_OUTPUT = "hello from the BuildKit runbook"


def references_of(settings: Settings) -> tuple[Reference, ...]:
    """One reference for each tag.

    Raises:
        InvalidParameterError: no registry is given.
    """
    if not settings.registry:
        raise InvalidParameterError(
            "no registry is given", where="parameter registry", remedy="give its host, such as iad.ocir.io"
        )
    return tuple(Reference(settings.registry, repository_of(settings), tag) for tag in settings.tags)


def request_of(settings: Settings) -> BuildRequest:
    """The build that the settings describe.

    Raises:
        BuildFailedError: the context or the Dockerfile is not there or cannot be read.
        InvalidParameterError: no registry.
    """
    context = Path(settings.context_dir).expanduser().absolute() if settings.context_dir else SAMPLE
    if why := barred(context, os.R_OK | os.X_OK):
        raise BuildFailedError(
            f"the build context cannot be read: {why}",
            where=str(context),
            remedy="make the folder readable for this user, or correct context_dir",
        )
    if not context.is_dir():
        raise BuildFailedError(
            "the build context is not a folder", where=str(context), remedy="correct context_dir"
        )
    dockerfile = _dockerfile(settings, context)
    exports, imports = list(settings.cache_to), list(settings.cache_from)
    if settings.local_cache:
        more = local_options(Path(settings.local_cache).expanduser().absolute())
        exports, imports = more[0] + exports, more[1] + imports
    return BuildRequest(
        context=context,
        dockerfile=dockerfile,
        references=tuple(str(r) for r in references_of(settings)),
        authorities=tuple(
            (h, str(Path(p).expanduser())) for h, p in sorted(authorities_of(settings).items())
        ),
        target=settings.build_target,
        platforms=tuple(settings.platforms),
        build_args=tuple(settings.build_args.items()),
        cache_to=tuple(exports),
        cache_from=tuple(imports),
    )


def _dockerfile(settings: Settings, context: Path) -> Path:
    """A relative name is meant as in `docker build -f`: from here, else from the context."""
    given = Path(settings.dockerfile).expanduser() if settings.dockerfile else context / "Dockerfile"
    path = given.absolute() if not barred(given, os.F_OK) and given.is_file() else context / given
    if why := barred(path):
        raise BuildFailedError(
            f"the Dockerfile cannot be read: {why}",
            where=str(path),
            remedy="make it readable for this user, or correct dockerfile",
        )
    if not path.is_file():
        raise BuildFailedError(
            "there is no Dockerfile", where=str(path), remedy="correct dockerfile or context_dir"
        )
    return path


def guarded(settings: Settings, request: BuildRequest, journal: Journal, *, ask: bool) -> Findings:
    """The cache guard over the request; with the parameter probe_cache the registry decides.

    It is asked with `ask` only, for asking writes to it: without, the question is said to be open.

    Raises:
        CacheRefusedError: see `cache_guard.guard`.
    """

    def accepts(option: CacheOption) -> bool | None:
        host = option.host(settings.registry)
        with client_of(settings, host) as client:
            verdict = probe(client, repository_of(settings))
        record = {"host": host, "accepted": verdict.accepted, "evidence": verdict.evidence}
        journal.fact("test_push", cache_verdict={**record, "date": verdict.date})
        return verdict.accepted

    return guard(
        request.cache_to,
        request.cache_from,
        pushed_to=settings.registry,
        is_ocir=lambda host: flavor_of(settings, host) == "ocir",
        allowed=settings.allow_registry_cache,
        accepts=accepts if ask and settings.probe_cache else None,
        pending=settings.probe_cache and not ask,
    )


def login_of(settings: Settings, host: str) -> Login | None:
    """The login that buildctl will find for `host` in the docker config, or None."""
    return DockerConfigFile(config_path(settings)).credential_for(host)


def client_of(settings: Settings, host: str) -> RegistryClient:
    """A registry client with the login that buildctl will use."""
    ca = settings.registry_ca if host == settings.registry else ""
    return RegistryClient(host, login_of(settings, host), ca, settings.request_timeout)
