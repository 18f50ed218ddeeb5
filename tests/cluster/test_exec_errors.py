"""What the API server passes on from a node that does not know a Pod."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from kubernetes.client.exceptions import ApiException

from runbook_lib import errors
from runbook_lib.cluster import pods
from runbook_lib.cluster.api_errors import explained
from runbook_lib.cluster.binding import Cluster


def refused(code: int, message: str) -> ApiException:
    """A refused exec, as the client's WebSocket code raises it."""
    return ApiException(status=0, reason=f"Handshake status {code} Not Found -+-+- {{}} -+-+- {message}")


@pytest.mark.parametrize("text", ["pod does not exist", 'pod "buildkitd" does not exist\n'])
def test_a_kubelet_that_has_just_started_is_no_missing_pod(text: str) -> None:
    with (
        pytest.raises(errors.PodNotReadyError, match="kubelet has just started") as caught,
        explained("https://server", "Pod ns/buildkitd"),
    ):
        raise refused(404, text)
    assert "wait some seconds" in caught.value.remedy


def test_a_container_that_has_just_ended_is_no_fault_of_the_api_server() -> None:
    with (
        pytest.raises(errors.PodNotReadyError, match="its container does not run now"),
        explained("https://server", "Pod ns/buildkitd"),
    ):
        raise refused(500, 'container not found ("buildkitd")')


def test_a_missing_object_is_in_the_error_tree() -> None:
    with (
        pytest.raises(errors.ObjectMissingError, match="it is not there"),
        explained("https://server", "Pod ns/buildkitd"),
    ):
        raise refused(404, '{"kind": "Status", "message": "pods \\"buildkitd\\" not found"}')


def test_an_answer_that_came_without_its_body_is_no_proxy_s() -> None:
    with pytest.raises(errors.ObjectMissingError), explained("https://server", "Pod ns/buildkitd"):
        raise refused(404, "None")


def test_a_page_of_a_proxy_is_no_missing_pod() -> None:
    with (
        pytest.raises(errors.ClusterUnreachableError, match=r"something other .*\(404\)"),
        explained("https://server", "Pod ns/buildkitd"),
    ):
        raise refused(404, "<html>no such page</html>")


CLUSTER = cast("Cluster", SimpleNamespace(server="https://server", timeout=5.0))


def test_a_kubelet_that_has_just_started_gets_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pods, "_SLICE", 0.01)
    gone = refused(500, 'container not found ("buildkitd")')
    answers: list[Any] = [refused(404, "pod does not exist"), gone, gone, "session"]

    def connect() -> Any:  # noqa: ANN401
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert cast("str", pods._connected(CLUSTER, "Pod ns/buildkitd", connect)) == "session"
    monkeypatch.setattr(pods, "_ANEW", 0.0)
    answers[:] = [refused(404, "pod does not exist")] * 3
    with pytest.raises(errors.PodNotReadyError, match="kubelet has just started"):
        pods._connected(CLUSTER, "Pod ns/buildkitd", connect)
