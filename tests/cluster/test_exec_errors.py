"""What the API server passes on from a node that does not know a Pod."""

from __future__ import annotations

import pytest
from kubernetes.client.exceptions import ApiException

from runbook_lib import errors
from runbook_lib.cluster.api_errors import explained


def refused(code: int, message: str) -> ApiException:
    """A refused exec, as the client's WebSocket code raises it."""
    return ApiException(status=0, reason=f"Handshake status {code} Not Found -+-+- {{}} -+-+- {message}")


def test_a_kubelet_that_has_just_started_is_no_missing_pod() -> None:
    with (
        pytest.raises(errors.PodNotReadyError, match="kubelet has just started") as caught,
        explained("https://server", "Pod ns/buildkitd"),
    ):
        raise refused(404, "pod does not exist")
    assert "wait some seconds" in caught.value.remedy


def test_a_missing_object_is_in_the_error_tree() -> None:
    with (
        pytest.raises(errors.ObjectMissingError, match="it is not there"),
        explained("https://server", "Pod ns/buildkitd"),
    ):
        raise refused(404, '{"message": "pods \\"buildkitd\\" not found"}')
