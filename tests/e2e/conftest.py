"""The runbook over a namespace of its own."""

from collections.abc import Iterator

import pytest
from e2e_support import Runbook, runbook_in


@pytest.fixture(scope="module")
def runbook(sandbox_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runbook]:
    """One namespace, home, docker config and runs folder for the tests of a module, in their order."""
    yield from runbook_in(sandbox_env, tmp_path_factory.mktemp("e2e"))
