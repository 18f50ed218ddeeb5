"""One installed builder for a module's tests, with a login; each test brings its own run and bin folder."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from on_sandbox import PARAMETERS, run_kubectl

from runbook_lib.journal import Journal
from runbook_lib.progress import Event
from runbook_lib.settings import Settings
from runbook_lib.settings_sources import load
from runbook_lib.steps.configure_auth import ConfigureAuth
from runbook_lib.steps.contract import Step
from runbook_lib.steps.fetch_buildctl import FetchBuildctl
from runbook_lib.steps.install_pod import InstallPod

AnyStep = TypeVar("AnyStep", bound=Step)


@dataclass
class World:
    """A namespace of the sandbox; `folder` holds its docker config and the binaries fetched for it."""

    sandbox: dict[str, str]
    namespace: str
    folder: Path
    events: list[Event] = field(default_factory=list)

    def settings(self, **overrides: Any) -> Settings:  # noqa: ANN401
        values: dict[str, Any] = {name: self.sandbox[name] for name in PARAMETERS}
        values |= {"mirrors": json.loads(self.sandbox["mirrors"])}
        values |= {"namespace": self.namespace, "run_dir": str(self.folder / uuid.uuid4().hex[:8])}
        values |= {"docker_config": str(self.folder / "docker"), "bin_dir": str(self.folder / "bin")}
        return load({**values, **overrides}, environ={})

    def step(self, kind: type[AnyStep], /, **overrides: Any) -> AnyStep:  # noqa: ANN401
        """A step over these settings; its events go to `events`, emptied first."""
        self.events.clear()
        settings = self.settings(**overrides)
        return kind(settings, Journal(Path(settings.run_dir)), self.events.append)

    def kubectl(self, *arguments: str) -> str:
        return run_kubectl(self.sandbox, *arguments)

    def install(self) -> None:
        self.step(InstallPod).apply()


@pytest.fixture(scope="module", name="bare_world")
def bare_world_fixture(
    sandbox_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A fresh namespace with nothing in it, removed after the module's tests."""
    world = World(sandbox_env, f"t-{uuid.uuid4().hex[:10]}", tmp_path_factory.mktemp("world"))
    world.kubectl("create", "namespace", world.namespace)
    yield world
    world.kubectl("delete", "namespace", world.namespace, "--wait=false")


@pytest.fixture(scope="module", name="world")
def world_fixture(bare_world: World) -> World:
    """The builder runs."""
    bare_world.install()
    return bare_world


@pytest.fixture(scope="module", name="ready")
def ready_fixture(world: World) -> World:
    """The builder runs, the login is written, buildctl is fetched: all that a build needs."""
    world.step(ConfigureAuth).apply()
    world.step(FetchBuildctl).apply()
    return world
