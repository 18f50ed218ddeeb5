"""Build, push and proof, on a real builder and registry: what is proven, and when it must not be."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from builder_world import World, bare_world_fixture, ready_fixture, world_fixture  # noqa: F401 - fixtures

from runbook_lib.cluster.binding import Cluster
from runbook_lib.cluster.pods import exec_in_pod
from runbook_lib.errors import (
    BuildFailedError,
    BuildTimeoutError,
    ConnectionLostError,
    InvalidParameterError,
    PushNotProvenError,
)
from runbook_lib.findings import Status
from runbook_lib.progress import Event
from runbook_lib.steps.builder_access import builder_of
from runbook_lib.steps.configure_auth import ConfigureAuth
from runbook_lib.steps.test_push import TestPush
from sandbox.double.admin import Admin

REPOSITORY = "sandboxns/tests/app"
DOCKERFILE = """\
FROM busybox AS base
ARG WORD=unset
RUN echo "the word is $WORD" > /word.txt
CMD ["cat", "/word.txt"]
FROM base AS other
CMD ["echo", "the wrong stage"]
"""
FRESH = "FROM scratch\nCOPY fresh /\n"  # an image that no registry has yet, in a moment


@pytest.fixture
def context(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Makes a build context; gives the parameters that build it into a repository of the tests."""

    def make(dockerfile: str, tag: str = "t", **files: str) -> dict[str, Any]:
        folder = tmp_path / "context"
        folder.mkdir(exist_ok=True)
        (folder / "Dockerfile").write_text(dockerfile)
        for name, text in files.items():
            (folder / name).write_text(text)
        return {"context_dir": str(folder), "repository": REPOSITORY, "tags": [tag]}

    return make


def own_children(*programs: str) -> list[psutil.Process]:
    """The processes of these programs that this test started, strays included."""
    mine = os.environ["PYTEST_CURRENT_TEST"]
    return [
        process
        for process in psutil.process_iter(["name", "environ"])
        if process.info["name"] in programs
        and (process.info["environ"] or {}).get("PYTEST_CURRENT_TEST") == mine
    ]


def living_children() -> list[str]:
    """Command lines of the buildctl and kubectl processes that this test started."""
    return [" ".join(process.cmdline()) for process in own_children("buildctl", "kubectl")]


# -- what works -------------------------------------------------------------------------------------
def test_the_sample_is_built_pushed_and_proven(ready: World) -> None:
    step = ready.step(TestPush)
    assert step.check().passed
    assert not step.plan().is_empty
    with pytest.raises(PushNotProvenError, match="no build with these tags"):
        step.verify()
    step.apply()
    assert any("RUN echo" in e.message and not e.done for e in ready.events), "no live progress"
    assert any("RUN echo" in e.message and e.done for e in ready.events)
    assert any(e.total for e in ready.events), "no progress of bytes"
    proven = step.verify()
    digest = step.journal.look_up("pushed_digest")
    assert proven.worst is Status.OK
    subjects = [f.subject for f in proven]
    assert subjects[0].startswith("tag ")
    assert subjects[1] == f"manifest {digest[:19]}"
    assert sum(s.startswith("blob ") for s in subjects) == 3  # config, busybox, the RUN's layer
    names = [v["name"] for v in step.journal.look_up("build_vertices")]
    assert any(n.startswith("exporting to image") for n in names)


def test_an_own_context_with_all_its_parameters_is_run(ready: World, tmp_path: Path) -> None:
    folder = tmp_path / "my context"
    (folder / "docker").mkdir(parents=True)
    (folder / "docker" / "App.Dockerfile").write_text(DOCKERFILE)
    step = ready.step(
        TestPush,
        context_dir=str(folder),
        dockerfile="docker/App.Dockerfile",
        build_args={"WORD": "swordfish, 'quoted'"},
        build_target="base",
        repository=REPOSITORY,
        tags=["one", "two.2", "THREE_3"],
        platforms=["linux/amd64"],
        run_image=True,
        expected_output="the word is swordfish, 'quoted'",
    )
    step.apply()
    proven = step.verify()
    assert proven.worst is Status.OK, str(proven)
    assert [f.subject.rpartition(":")[2] for f in proven if f.subject.startswith("tag ")] == [
        "one",
        "two.2",
        "THREE_3",
    ]
    [ran] = [f for f in proven if f.subject.startswith("run of ")]
    assert ran.evidence == "the word is swordfish, 'quoted'"


def test_a_wrong_output_of_the_image_fails(ready: World) -> None:
    step = ready.step(TestPush, run_image=True, expected_output="something else")
    step.apply()
    bad = [f for f in step.verify() if f.status is Status.FAIL]
    assert [f.message for f in bad] == ["it does not print 'something else'"]
    assert "hello from the BuildKit runbook" in bad[0].evidence
    assert ready.kubectl("get", "pods", "-n", ready.namespace, "-o", "name").split() == ["pod/buildkitd"]


# -- builds that fail -------------------------------------------------------------------------------
def test_a_failing_run_names_the_step_and_its_last_output(
    ready: World, context: Callable[..., dict[str, Any]]
) -> None:
    given = context("FROM busybox\nRUN echo first; for n in $(seq 30); do echo line $n; done; exit 7\n")
    with pytest.raises(BuildFailedError) as caught:
        ready.step(TestPush, **given).apply()
    assert caught.value.where.startswith("[2/2] RUN echo first")
    assert "exit code: 7" in caught.value.what
    assert "    | line 30" in caught.value.what
    assert "line 10\n" not in caught.value.what
    assert caught.value.remedy
    assert caught.value.notebook == "04_test_push.ipynb"


FAILURES = {
    "COPY of nothing": ("FROM busybox\nCOPY nowhere.txt /\n", "not in the build context", "COPY nowhere.txt"),
    "no such image": ("FROM REGISTRY/sandboxns/no:1\n", "named in FROM cannot be pulled", "sandboxns/no:1"),
    "no such instruction": ("FROM busybox\nFRUN x\n", "the Dockerfile cannot be used", "FRUN"),
    "empty Dockerfile": ("# nothing\n", "the Dockerfile cannot be used", "no instructions"),
}


@pytest.mark.parametrize(("dockerfile", "kind", "named"), FAILURES.values(), ids=FAILURES)
def test_a_build_that_cannot_work_says_why(
    ready: World, context: Callable[..., dict[str, Any]], dockerfile: str, kind: str, named: str
) -> None:
    with pytest.raises(BuildFailedError, match=kind) as caught:
        ready.step(TestPush, **context(dockerfile.replace("REGISTRY", ready.sandbox["registry"]))).apply()
    assert named in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"context_dir": "/nowhere"}, BuildFailedError),
        ({"dockerfile": "Nowhere.Dockerfile"}, BuildFailedError),
        ({"build_target": "nowhere"}, BuildFailedError),
        ({"registry": ""}, InvalidParameterError),
    ],
)
def test_what_is_not_there_is_named_by_its_parameter(
    ready: World, more: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        ready.step(TestPush, **more).apply()
    assert next(iter(more)) in str(caught.value)


def test_a_user_who_may_not_push_is_told_so(
    ready: World, tmp_path: Path, context: Callable[..., dict[str, Any]]
) -> None:
    token = ready.settings().registry_credential.replace("developer.token", "viewer.token")
    viewer = {"registry_username": "sandboxns/viewer", "registry_credential": token}
    given = {**viewer, "docker_config": str(tmp_path / "docker")}
    ready.step(ConfigureAuth, **given).apply()
    more = context(FRESH, fresh=str(time.time()))
    with pytest.raises(BuildFailedError, match="refused the login or the push") as caught:
        ready.step(TestPush, **given, **more).apply()
    assert REPOSITORY in str(caught.value)
    assert caught.value.remedy
    assert caught.value.notebook == "02_configure_auth.ipynb"


def test_a_login_that_is_missing_or_wrong_is_told_so(
    ready: World, tmp_path: Path, context: Callable[..., dict[str, Any]]
) -> None:
    given = {"docker_config": str(tmp_path / "docker")}
    assert "has no login for this registry" in str(ready.step(TestPush, **given).check())
    (tmp_path / "token").write_text("not-the-token")
    wrong: dict[str, Any] = {**given, "registry_credential": f"file:{tmp_path / 'token'}"}
    ready.step(ConfigureAuth, **wrong).apply()
    wrong |= context(FRESH, fresh=str(time.time()))
    with pytest.raises(BuildFailedError, match="refused the login or the push") as caught:
        ready.step(TestPush, **wrong).apply()
    assert caught.value.notebook == "02_configure_auth.ipynb"


# -- a connection that breaks -------------------------------------------------------------------------
def test_a_lost_connection_is_mended_once_and_a_second_loss_is_told(
    ready: World, context: Callable[..., dict[str, Any]]
) -> None:
    given = context(f"FROM busybox\nRUN echo {time.time()} > /first\nRUN sleep 2.25 && echo second\n")
    step = ready.step(TestPush, **given)
    losses = 1

    def cut(event: Event) -> None:
        nonlocal losses
        if losses and not event.done and "sleep 2.25" in event.message:
            losses -= 1
            for process in own_children("kubectl"):
                process.kill()

    cutting = TestPush(step.settings, step.journal, lambda e: (ready.events.append(e), cut(e))[0])
    found = cutting.apply()
    assert losses == 0, "nothing was cut"
    assert [f.status for f in found if f.subject == "connection to the builder"] == [Status.WARN]
    assert any("first" in e.message and "CACHED" in e.message for e in ready.events), "nothing was resumed"
    assert cutting.verify().passed
    losses = 2
    (Path(given["context_dir"]) / "Dockerfile").write_text(
        f"FROM busybox\nRUN echo {time.time()} && sleep 2.25\n"
    )
    with pytest.raises(ConnectionLostError) as caught:
        cutting.apply()
    assert losses == 0
    assert caught.value.remedy


def test_a_build_that_fails_by_itself_is_not_repeated(
    ready: World, context: Callable[..., dict[str, Any]]
) -> None:
    with pytest.raises(BuildFailedError) as caught:
        ready.step(TestPush, **context(f"FROM busybox\nRUN echo {time.time()} && exit 3\n")).apply()
    assert not isinstance(caught.value, ConnectionLostError)
    assert sum("exit 3" in e.message and not e.done for e in ready.events) == 1


# -- limits -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("limit", [{"build_timeout": 2.5}, {"stall_timeout": 1.5}])
def test_a_limit_ends_the_build_and_all_its_processes(
    ready: World, context: Callable[..., dict[str, Any]], limit: dict[str, float]
) -> None:
    mark = f"{71 + len(str(limit))}.5"
    given = context(f"FROM busybox\nRUN echo {time.time()} && sleep {mark}\n")
    begun = time.monotonic()
    step = ready.step(TestPush, **given, **limit)
    seen: list[str] = []
    looking = TestPush(step.settings, step.journal, lambda _: seen.extend(living_children()))
    with pytest.raises(BuildTimeoutError) as caught:
        looking.apply()
    assert any("kubectl" in line for line in seen), "the look at processes sees nothing"
    assert time.monotonic() - begun < 15
    assert "sleep" in caught.value.where
    assert next(iter(limit)) in caught.value.remedy
    assert living_children() == []
    settings = ready.settings()
    cluster = Cluster.bind(settings)
    deadline = time.monotonic() + 10
    while mark in exec_in_pod(cluster, "buildkitd", ["ps"], 10).stdout.decode():
        assert time.monotonic() < deadline, "the instruction still runs in the builder"
        time.sleep(0.2)
    builder, _, _ = builder_of(settings, cluster, ready.step(TestPush).journal)
    assert builder.workers()


# -- a registry that misbehaves ---------------------------------------------------------------------
@pytest.fixture(name="pushed", scope="module")
def pushed_fixture(ready: World) -> TestPush:
    step = ready.step(TestPush, repository="sandboxns/tests/pushed", tags=["a", "b"])
    step.apply()
    return step


def answer(status: int, path: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"kind": "status", "status": status, "path": path, **more}


TAG_A, TAG_B, MANIFEST, BLOB = "/manifests/a$", "/manifests/b$", "/manifests/sha256:", "/pushed/blobs/sha256:"
FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "tag moved": ({"kind": "moved_tag", "path": TAG_A, "to": "other"}, "names another image"),
    "tag gone": (answer(404, TAG_B, code="MANIFEST_UNKNOWN"), "no such tag"),
    "manifest gone": (answer(404, MANIFEST, code="MANIFEST_UNKNOWN"), "no such tag or digest"),
    "manifest altered": ({"kind": "corrupt", "path": MANIFEST}, "other bytes under this digest"),
    "header lies": ({"kind": "wrong_digest", "path": MANIFEST}, "names another digest"),
    "blob gone": (answer(404, BLOB, after=1, code="BLOB_UNKNOWN"), "does not have it"),
    "500": (answer(500, MANIFEST), "failed on its side"),
    "502 page": (answer(502, BLOB, body="html", after=5), "something in front of the registry"),
    "429": (answer(429, MANIFEST, retry_after=0), "limits how often"),
    "403": (answer(403, MANIFEST, code="DENIED"), "may not do that"),
    "cut": ({"kind": "cut", "path": MANIFEST}, "broke off"),
    "silent": ({"kind": "black_hole", "path": MANIFEST}, "no answer within|did not end within"),
    "token refused": (answer(401, "docker/token"), "does not accept the login"),
}


@pytest.mark.parametrize(("fault", "said"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_registry_never_counts_as_proof(
    pushed: TestPush, ready: World, registry_admin: Admin, fault: dict[str, Any], said: str
) -> None:
    settings = pushed.settings.model_copy(update={"request_timeout": 1.0})
    step = TestPush(settings, pushed.journal, ready.events.append)
    if fault["kind"] == "moved_tag":
        other = {"repository": "sandboxns/tests/pushed", "tags": ["other"]}
        context = Path(pushed.journal.run_dir) / "other"
        context.mkdir(exist_ok=True)
        (context / "Dockerfile").write_text("FROM busybox\nLABEL other=yes\n")
        ready.step(TestPush, context_dir=str(context), **other).apply()
    registry_admin.add_fault(**fault)
    found = step.verify()
    registry_admin.clear_faults()
    bad = [f for f in found if f.status is Status.FAIL]
    assert bad, str(found)
    assert any(re.search(said, f.message) for f in bad), str(found)
    assert all(f.remedy for f in bad)
    assert step.verify().passed


# BuildKit tries 5xx again for about 7 s and then says "unknown: …": the status is found in its log.
PUSH_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "500": (answer(500, "/manifests/", method="PUT"), "busy or failing"),
    "409": (answer(409, "/manifests/", method="PUT"), "did not take the push"),
}


@pytest.mark.parametrize(("fault", "said"), PUSH_FAULTS.values(), ids=PUSH_FAULTS)
def test_a_push_that_the_registry_breaks_is_no_success(
    ready: World,
    context: Callable[..., dict[str, Any]],
    registry_admin: Admin,
    fault: dict[str, Any],
    said: str,
) -> None:
    given = context(FRESH, fresh=str(time.time()))
    registry_admin.add_fault(**fault)
    with pytest.raises(BuildFailedError, match=said) as caught:
        ready.step(TestPush, **given, build_timeout=60).apply()
    assert caught.value.remedy
    registry_admin.clear_faults()
    ready.step(TestPush, **given).apply()
