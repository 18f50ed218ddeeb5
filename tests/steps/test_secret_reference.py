"""A login whose token is in a Secret of the cluster: read where it is, named where it is not."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from builder_world import World, bare_world_fixture  # noqa: F401 - fixture

from runbook_lib.errors import MalformedCredentialError, MissingCredentialError, RunbookError
from runbook_lib.findings import Status
from runbook_lib.steps.configure_auth import ConfigureAuth


@pytest.fixture(scope="module", name="world")
def world_fixture(bare_world: World) -> World:
    path = bare_world.settings().registry_credential.removeprefix("file:")
    values = [f"--from-file=good={path}", "--from-literal=empty=", "--from-literal=lines=a\nb"]
    binary = bare_world.folder / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    values.append(f"--from-file=binary={binary}")
    bare_world.kubectl("create", "secret", "generic", "tokens", "-n", bare_world.namespace, *values)
    return bare_world


def test_the_token_is_read_from_the_secret(world: World, tmp_path: Path) -> None:
    reference = f"secret:{world.namespace}/tokens/good"
    step = world.step(ConfigureAuth, registry_credential=reference, docker_config=str(tmp_path))
    assert step.check().passed
    commands = "\n".join(step.plan().commands)
    assert "get secret tokens" in commands
    step.apply()
    assert step.verify().worst is Status.OK
    token = Path(world.settings().registry_credential.removeprefix("file:")).read_text().strip()
    for form in (token, base64.b64encode(token.encode()).decode()):
        assert form not in step.journal.path.read_text() + commands


CASES: dict[str, tuple[str, type[RunbookError], str]] = {
    "no such Secret": ("{namespace}/nowhere/good", MissingCredentialError, "does not exist"),
    "no such namespace": ("nowhere-at-all/tokens/good", MissingCredentialError, "does not exist"),
    "no such key": ("{namespace}/tokens/other", MissingCredentialError, "binary, empty, good, lines"),
    "an empty value": ("{namespace}/tokens/empty", MissingCredentialError, "empty"),
    "a binary value": ("{namespace}/tokens/binary", MissingCredentialError, "not UTF-8"),
    "two lines": ("{namespace}/tokens/lines", MalformedCredentialError, "control character"),
}


@pytest.mark.parametrize(("place", "error", "said"), CASES.values(), ids=CASES)
def test_what_is_wrong_with_the_secret_is_named(
    world: World, tmp_path: Path, place: str, error: type[RunbookError], said: str
) -> None:
    reference = "secret:" + place.format(namespace=world.namespace)
    step = world.step(ConfigureAuth, registry_credential=reference, docker_config=str(tmp_path))
    with pytest.raises(error, match=said) as caught:
        step.apply()
    assert caught.value.where == reference
    assert caught.value.remedy
    assert not step.check().passed
    assert not (tmp_path / "config.json").exists()
