"""One world for the tests of this folder, on the tests' own sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from healing import heal
from on_sandbox import INSTANCE
from world import World


@pytest.fixture(scope="module")
def world(sandbox_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    found = World(INSTANCE[1], tmp_path_factory.mktemp("faults"))
    found.prepare()
    heal(found, upto="test_push")
    yield found
    found.close()
    found.up()
    found.kubectl("delete", "namespace", found.namespace, "--wait=false")
