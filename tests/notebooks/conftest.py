"""A namespace and a home for the notebooks, run as a person's tools run them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from notebook_place import Place
from on_sandbox import PARAMETERS, run_kubectl


@pytest.fixture(scope="module")
def place(sandbox_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("notebooks")
    namespace = f"nb-{os.urandom(4).hex()}"
    run_kubectl(sandbox_env, "create", "namespace", namespace)
    parameters: dict[str, Any] = {name: sandbox_env[name] for name in PARAMETERS}
    parameters |= {"mirrors": json.loads(sandbox_env["mirrors"]), "namespace": namespace}
    parameters |= {name: str(folder / name) for name in ("docker_config", "bin_dir", "run_dir")}
    parameters["repository"] = f"sandboxns/{namespace}/hello"
    found = Place(parameters, folder)
    found.profile.write_text(yaml.safe_dump(parameters))
    yield found
    run_kubectl(sandbox_env, "delete", "namespace", namespace, "--wait=false")
