"""Each documented rule of the registry, on and off."""

from collections.abc import Iterator

import httpx
import jwt
import pytest
from double_lab import lab_fixture, login

from sandbox.double.errors import AdminError
from sandbox.double.lab import NAMESPACE, NEWCOMER, OWNER, SEEDER, Lab
from sandbox.double.lab_client import Client, index
from sandbox.double.rules import CACHE_CONFIG_MEDIA_TYPE

REPOSITORY = f"{NAMESPACE}/rules"
PUSH = f"repository:{REPOSITORY}:pull,push"
lab = lab_fixture


@pytest.fixture
def owner(lab: Lab) -> Iterator[Client]:
    lab.admin.reset()
    with login(lab, OWNER) as client:
        yield client


def error_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["errors"][0]["code"]


def test_bad_credentials_get_an_empty_anonymous_token_with_status_200(lab: Lab) -> None:
    with login(lab, OWNER, "wrong") as client:
        answer = client.token(PUSH)
        claims = jwt.decode(answer.json()["token"], options={"verify_signature": False})
        assert answer.status_code == 200
        assert claims["sub"].startswith("anon-")
        assert claims["access"] == []
        with lab.admin.switch(anonymous_token_on_bad_credentials=False):
            refused = client.token(PUSH)
            assert error_of(refused) == (401, "UNAUTHORIZED")
            assert "token" not in refused.json()
        assert client.token(PUSH).status_code == 200


def test_a_trailing_newline_breaks_the_auth_token(lab: Lab) -> None:
    with login(lab, OWNER, lab.passwords[OWNER] + "\n") as client:
        answer = client.token(PUSH)
    claims = jwt.decode(answer.json()["token"], options={"verify_signature": False})
    assert claims["sub"].startswith("anon-")


def test_a_push_without_login_is_denied_with_the_reported_message(lab: Lab, owner: Client) -> None:
    with login(lab, OWNER, "wrong") as client:
        refused, _ = client.push_image(REPOSITORY, "v1")
        assert error_of(refused) == (403, "DENIED")
        assert "Anonymous users are only allowed read access" in refused.text
    with lab.admin.switch(anonymous_denied=False), login(lab, OWNER, "wrong") as client:
        assert client.push_image(REPOSITORY, "v1")[0].status_code == 401


def test_a_token_for_another_repository_is_challenged_not_denied(lab: Lab) -> None:
    with login(lab) as anyone:
        token = anyone.token("repository:library/busybox:pull").json()["token"]
        headers = {"Authorization": f"Bearer {token}"}
        assert anyone.http.get(f"/v2/{REPOSITORY}/manifests/v1", headers=headers).status_code == 401


def test_there_is_no_catalog(lab: Lab, owner: Client) -> None:
    assert owner.push_image(REPOSITORY, "v1")[0].status_code == 201
    assert error_of(owner.call("GET", "/v2/_catalog", "registry:catalog:*")) == (404, "UNSUPPORTED")
    with lab.admin.switch(no_catalog=False), login(lab, OWNER) as client:
        listed = client.call("GET", "/v2/_catalog", "registry:catalog:*")
        assert REPOSITORY in listed.json()["repositories"]


def test_a_repository_must_exist_before_a_push(lab: Lab, owner: Client) -> None:
    name = f"{NAMESPACE}/must-exist"
    with lab.admin.switch(repository_must_exist=True):
        refused, _ = owner.push_image(name, "v1")
        assert error_of(refused) == (404, "NAME_UNKNOWN")
        lab.admin.create_repository(name)
        assert owner.push_image(name, "v1")[0].status_code == 201
        lab.admin.delete_repository(name)
        # An image in it is proof enough that a repository exists.
        assert owner.push_image(name, "v2")[0].status_code == 201
    assert owner.push_image(f"{NAMESPACE}/created-by-push", "v1")[0].status_code == 201


def test_a_user_who_may_not_manage_repositories_pushes_to_existing_ones_only(lab: Lab, owner: Client) -> None:
    with login(lab, NEWCOMER) as newcomer:
        assert error_of(newcomer.push_image(f"{NAMESPACE}/fresh", "v1")[0]) == (404, "NAME_UNKNOWN")
        assert owner.push_image(REPOSITORY, "v1")[0].status_code == 201
        assert newcomer.push_image(REPOSITORY, "v2")[0].status_code == 201


def test_cache_manifests_are_refused_in_both_forms(lab: Lab, owner: Client) -> None:
    image, _ = owner.push_image(REPOSITORY, "cache", config_type=CACHE_CONFIG_MEDIA_TYPE)
    assert error_of(image) == (400, "MANIFEST_INVALID")
    config = {"mediaType": CACHE_CONFIG_MEDIA_TYPE, "digest": f"sha256:{'1' * 64}", "size": 3}
    listed, _ = owner.push_manifest(REPOSITORY, "cache-index", index([config]))
    assert error_of(listed) == (400, "MANIFEST_INVALID")
    assert CACHE_CONFIG_MEDIA_TYPE in listed.text
    assert owner.push_image(REPOSITORY, "no-cache")[0].status_code == 201
    with lab.admin.switch(refuse_cache_manifests=False):
        allowed, _ = owner.push_image(REPOSITORY, "cache", config_type=CACHE_CONFIG_MEDIA_TYPE)
        assert allowed.status_code == 201


def test_attestations_are_refused_when_asked_for(lab: Lab, owner: Client) -> None:
    _, digest = owner.push_image(REPOSITORY, "attested")
    size = len(owner.manifest(REPOSITORY, digest).content)
    described = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest,
        "size": size,
        "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
    }
    assert owner.push_manifest(REPOSITORY, "attested-index", index([described]))[0].status_code == 201
    with lab.admin.switch(refuse_attestations=True):
        refused, _ = owner.push_manifest(REPOSITORY, "attested-index", index([described]))
        assert error_of(refused) == (409, "CONFLICT")
        assert owner.push_image(REPOSITORY, "plain")[0].status_code == 201


def test_the_delete_scope_is_refused_or_deletes(lab: Lab, owner: Client) -> None:
    scope = f"repository:{REPOSITORY}:delete"
    _, digest = owner.push_image(REPOSITORY, "deleted", b"to be deleted")
    assert error_of(owner.token(scope)) == (400, "UNSUPPORTED")
    with lab.admin.switch(refuse_delete_scope=False):
        assert owner.call("DELETE", f"/v2/{REPOSITORY}/manifests/{digest}", scope).status_code == 202
        assert owner.manifest(REPOSITORY, "deleted").status_code == 404


def test_the_admin_interface_explains_bad_input(lab: Lab) -> None:
    with pytest.raises(AdminError, match="unheard_of"):
        lab.admin.set_switches(unheard_of=True)
    with pytest.raises(AdminError, match="teapot"):
        lab.admin.add_fault("teapot")
    with pytest.raises(AdminError, match="not a regular expression"):
        lab.admin.add_fault("status", status=503, path="(")
    with pytest.raises(AdminError, match="there is no user"):
        lab.admin.login_token("nobody/here")
    with pytest.raises(AdminError, match="name"):
        lab.admin.create_repository("Not A Name")
    assert lab.admin.switches()["refuse_cache_manifests"] is True


def test_the_admin_interface_keeps_web_pages_out(lab: Lab) -> None:
    url = f"http://127.0.0.1:{lab.config.admin.port}/login-token"
    body = {"username": SEEDER}
    for headers in ({"Host": "evil.example:80"}, {"Origin": "https://evil.example"}):
        refused = httpx.post(url, json=body, headers=headers, trust_env=False)
        assert refused.status_code == 403
        assert "token" not in refused.json()
