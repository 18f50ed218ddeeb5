"""Each fault, seen from the client; and the same call again without it."""

import os
import time
from collections.abc import Iterator

import httpx
import pytest
from double_lab import lab_fixture, login

from sandbox.double.lab import NAMESPACE, OWNER, Lab
from sandbox.double.lab_client import LAYER_TYPE, Client, Descriptor, digest_of

REPOSITORY = f"{NAMESPACE}/faults"
LAYER = b"a layer of the faults" * 50_000
lab = lab_fixture


@pytest.fixture
def owner(lab: Lab) -> Iterator[Client]:
    lab.admin.reset()
    with login(lab, OWNER, timeout=5) as client:
        assert client.push_image(REPOSITORY, "v1", LAYER)[0].status_code == 201
        # The client now holds a token to pull as well: what follows is one request a call.
        assert client.manifest(REPOSITORY, "v1").status_code == 200
        lab.admin.clear_requests()
        yield client
    assert lab.admin.faults() == []


@pytest.mark.parametrize("status", [401, 403, 404, 405, 409, 413, 429, 500, 502, 503])
def test_status_with_a_registry_body(lab: Lab, owner: Client, status: int) -> None:
    with lab.admin.fault("status", status=status, path="/manifests/", times=1, message="as told"):
        struck = owner.manifest(REPOSITORY, "v1")
        assert (struck.status_code, struck.json()["errors"][0]["message"]) == (status, "as told")
        assert ("WWW-Authenticate" in struck.headers) == (status == 401)
        assert owner.manifest(REPOSITORY, "v1").status_code == 200


def test_too_many_requests_says_when_to_come_back_as_html(lab: Lab, owner: Client) -> None:
    with lab.admin.fault("status", status=429, retry_after=7, body="html", method="GET", path="/manifests/"):
        struck = owner.manifest(REPOSITORY, "v1")
        assert (struck.status_code, struck.headers["Retry-After"]) == (429, "7")
        assert struck.headers["Content-Type"].startswith("text/html")
        assert struck.text.startswith("<html>")
        assert owner.manifest(REPOSITORY, "v1", "HEAD").status_code == 200


def test_after_and_times_choose_the_request(lab: Lab, owner: Client) -> None:
    with lab.admin.fault("status", status=500, path="/manifests/", after=1, times=2):
        seen = [owner.manifest(REPOSITORY, "v1").status_code for _ in range(5)]
        assert seen == [200, 500, 500, 200, 200]
        assert (lab.admin.faults()[0]["matched"], lab.admin.faults()[0]["struck"]) == (5, 2)


def test_probability_strikes_some(lab: Lab, owner: Client) -> None:
    with lab.admin.fault("status", status=500, path="/manifests/", probability=0.5):
        seen = [owner.manifest(REPOSITORY, "v1").status_code for _ in range(30)]
    assert 5 <= seen.count(500) <= 25


def test_latency_adds_to_another_fault(lab: Lab, owner: Client) -> None:
    began = time.monotonic()
    with (
        lab.admin.fault("latency", milliseconds=300, path="/manifests/"),
        lab.admin.fault("status", status=503, path="/manifests/"),
    ):
        assert owner.manifest(REPOSITORY, "v1").status_code == 503
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize("after_bytes", [0, 200_000])
def test_a_response_is_cut_after_the_bytes_told(lab: Lab, owner: Client, after_bytes: int) -> None:
    received = bytearray()

    def download() -> None:
        url, scope = f"/v2/{REPOSITORY}/blobs/{digest_of(LAYER)}", f"repository:{REPOSITORY}:pull"
        token = {"Authorization": f"Bearer {owner.token(scope).json()['token']}"}
        with owner.http.stream("GET", url, headers=token) as answer:
            for chunk in answer.iter_raw():
                received.extend(chunk)

    with (
        lab.admin.fault("cut", path="/blobs/sha256", after_bytes=after_bytes),
        pytest.raises(httpx.RemoteProtocolError),
    ):
        download()
    assert bytes(received) == LAYER[:after_bytes]
    assert owner.blob(REPOSITORY, digest_of(LAYER)).content == LAYER


@pytest.mark.parametrize("after_bytes", [0, 100_000])
def test_an_upload_is_cut_and_can_be_made_again(lab: Lab, owner: Client, after_bytes: int) -> None:
    content = os.urandom(2_000_000)
    with (
        lab.admin.fault("cut", side="request", after_bytes=after_bytes, method="PUT", path="/blobs/uploads/"),
        pytest.raises((httpx.RemoteProtocolError, httpx.WriteError, httpx.ReadError)),
    ):
        owner.push_blob(REPOSITORY, content)
    assert owner.blob(REPOSITORY, digest_of(content)).status_code == 404
    (cut,) = [entry for entry in lab.admin.requests()["requests"] if entry["fault"] == "cut"]
    assert (cut["method"], cut["status"], cut["bytes_in"]) == ("PUT", 0, after_bytes)
    assert owner.push_blob(REPOSITORY, content)[0].status_code == 201


def test_an_answer_lost_after_the_work_was_done(lab: Lab, owner: Client) -> None:
    """The cruel case: the manifest is stored, the client never hears of it."""
    with (
        lab.admin.fault("cut", method="PUT", path="/manifests/lost"),
        pytest.raises(httpx.RemoteProtocolError),
    ):
        owner.push_image(REPOSITORY, "lost", LAYER)
    assert owner.manifest(REPOSITORY, "lost").status_code == 200


def test_a_black_hole_is_silent_and_bounded(lab: Lab, owner: Client) -> None:
    owner.manifest(REPOSITORY, "v1")
    with lab.admin.fault("black_hole", seconds=0.5, path="/manifests/"):
        began = time.monotonic()
        with pytest.raises(httpx.RemoteProtocolError):
            owner.manifest(REPOSITORY, "v1")
        assert 0.4 < time.monotonic() - began < 15
    assert owner.manifest(REPOSITORY, "v1").status_code == 200


def test_clearing_the_faults_ends_a_black_hole(lab: Lab, owner: Client) -> None:
    owner.manifest(REPOSITORY, "v1")
    number = lab.admin.add_fault("black_hole", seconds=60, path="/manifests/")
    with login(lab, OWNER, timeout=0.3) as hasty, pytest.raises(httpx.ReadTimeout):
        hasty.manifest(REPOSITORY, "v1")
    assert lab.admin.faults()[0]["id"] == number
    lab.admin.clear_faults()
    assert owner.manifest(REPOSITORY, "v1").status_code == 200


def test_corrupted_downloads_do_not_match_their_digest(lab: Lab, owner: Client) -> None:
    with lab.admin.fault("corrupt", path="/blobs/sha256"):
        damaged = owner.blob(REPOSITORY, digest_of(LAYER))
        assert damaged.status_code == 200
        assert len(damaged.content) == len(LAYER)
        assert digest_of(damaged.content) != digest_of(LAYER)


def test_corrupted_uploads_are_refused_by_distribution(lab: Lab, owner: Client) -> None:
    with lab.admin.fault("corrupt", side="request", method="PUT", path="/blobs/uploads/"):
        answer, _ = owner.push_blob(REPOSITORY, b"never stored")
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "DIGEST_INVALID")


def test_a_wrong_digest_is_named(lab: Lab, owner: Client) -> None:
    with lab.admin.fault("wrong_digest", path="/manifests/"):
        answer = owner.manifest(REPOSITORY, "v1")
        assert answer.headers["Docker-Content-Digest"] != digest_of(answer.content)
    answer = owner.manifest(REPOSITORY, "v1")
    assert answer.headers["Docker-Content-Digest"] == digest_of(answer.content)


def test_a_tag_moves_and_its_digest_does_not(lab: Lab, owner: Client) -> None:
    _, other = owner.push_image(REPOSITORY, "other", b"another layer")
    first = digest_of(owner.manifest(REPOSITORY, "v1").content)
    with lab.admin.fault("moved_tag", to=other, path="/manifests/"):
        assert digest_of(owner.manifest(REPOSITORY, "v1").content) == other
        assert digest_of(owner.manifest(REPOSITORY, first).content) == first
    assert digest_of(owner.manifest(REPOSITORY, "v1").content) == first


def test_distribution_refuses_an_expired_token(lab: Lab) -> None:
    with lab.admin.fault("expired_token", path="/docker/token"), login(lab, OWNER) as client:
        refused = client.manifest(REPOSITORY, "v1")
        assert refused.status_code == 401
        assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]
    with login(lab, OWNER) as client:
        assert client.manifest(REPOSITORY, "v1").status_code == 200


def test_the_journal_counts_what_was_asked(lab: Lab, owner: Client) -> None:
    owner.manifest(REPOSITORY, "v1")
    owner.blob(REPOSITORY, Descriptor(LAYER_TYPE, digest_of(LAYER), len(LAYER)).digest)
    seen = lab.admin.requests()
    assert seen["total"] == len(seen["requests"]) == sum(seen["by_status"].values())
    last = seen["requests"][-1]
    assert (last["method"], last["status"], last["subject"]) == ("GET", 200, OWNER)
    assert last["bytes_out"] == len(LAYER)
