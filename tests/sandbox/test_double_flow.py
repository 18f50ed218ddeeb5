"""Push and pull through the double, tokens and scopes: real distribution, real double, real TLS."""

import os
import re
from urllib.parse import urljoin

import httpx
import jwt
import pytest
from double_lab import lab_fixture, login

from sandbox.double.config import TOKEN_PATH
from sandbox.double.lab import FEDERATED, NAMESPACE, OWNER, READER, SEEDER, Lab
from sandbox.double.lab_client import digest_of

REPOSITORY = f"{NAMESPACE}/app"
lab = lab_fixture
PULL, PUSH = f"repository:{REPOSITORY}:pull", f"repository:{REPOSITORY}:pull,push"


def access(response: httpx.Response) -> list[dict[str, object]]:
    claims = jwt.decode(response.json()["token"], options={"verify_signature": False})
    return list(claims["access"])


@pytest.mark.parametrize("username", [OWNER, FEDERATED])
def test_push_then_pull_gives_back_the_same_bytes(lab: Lab, username: str) -> None:
    with login(lab, username) as client:
        pushed, digest = client.push_image(REPOSITORY, "v1", content := os.urandom(300_000))
        assert pushed.status_code == 201
        assert pushed.headers["Docker-Content-Digest"] == digest
        assert pushed.headers["Location"].startswith(f"https://{lab.host}/v2/{REPOSITORY}/")
        read = client.manifest(REPOSITORY, "v1")
        assert digest_of(read.content) == digest
        layer = read.json()["layers"][0]["digest"]
        assert client.blob(REPOSITORY, layer).content == content
        part = client.blob(REPOSITORY, layer, Range="bytes=100-199")
        assert (part.status_code, part.content) == (206, content[100:200])
        head = client.manifest(REPOSITORY, "v1", "HEAD")
        assert (head.status_code, head.content) == (200, b"")
        assert int(head.headers["Content-Length"]) == len(read.content)


def test_a_chunked_upload_goes_through(lab: Lab) -> None:
    content = os.urandom(500_000)
    with login(lab, OWNER) as client:
        opened = client.call("POST", f"/v2/{REPOSITORY}/blobs/uploads/", PUSH)
        location = urljoin(f"https://{lab.host}", opened.headers["Location"])
        token = client.token(PUSH).json()["token"]
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"}
        pieces = (content[start : start + 100_000] for start in range(0, len(content), 100_000))
        patched = client.http.patch(location, headers=headers, content=pieces)
        assert patched.status_code == 202
        assert patched.headers["Range"] == f"0-{len(content) - 1}"
        url = httpx.URL(urljoin(location, patched.headers["Location"]))
        closed = client.http.put(url.copy_merge_params({"digest": digest_of(content)}), headers=headers)
        assert closed.status_code == 201
        assert client.blob(REPOSITORY, digest_of(content)).content == content


def test_each_address_names_itself_in_the_challenge(lab: Lab) -> None:
    for host in (lab.host, lab.second_host):
        with login(lab, OWNER, host=host) as client:
            refused = client.http.get("/v2/")
            assert refused.status_code == 401
            realm = f'Bearer realm="https://{host}{TOKEN_PATH}",service="{host}"'
            assert refused.headers["WWW-Authenticate"].startswith(realm)
            pushed, _ = client.push_image(REPOSITORY, "hosts")
            assert pushed.status_code == 201
            assert pushed.headers["Location"].startswith(f"https://{host}/")


def test_distribution_itself_refuses_a_pull_token_that_pushes(lab: Lab) -> None:
    with login(lab, OWNER) as client:
        token = client.token(PULL).json()["token"]
        url = f"/v2/{REPOSITORY}/blobs/uploads/"
        refused = client.http.post(url, headers={"Authorization": f"Bearer {token}"})
        assert refused.status_code == 401
        assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]


def test_a_token_of_another_key_is_refused(lab: Lab) -> None:
    forged = jwt.encode({"sub": OWNER, "aud": "registry-double"}, "x" * 32, algorithm="HS256")
    with login(lab) as client:
        refused = client.http.get("/v2/", headers={"Authorization": f"Bearer {forged}"})
        assert refused.status_code == 401


def test_tokens_hold_no_more_than_the_rights(lab: Lab) -> None:
    with login(lab, READER) as reader, login(lab, SEEDER) as seeder, login(lab, OWNER) as owner:
        assert access(reader.token(PUSH)) == [{"type": "repository", "name": REPOSITORY, "actions": ["pull"]}]
        assert access(owner.token("repository:otherns/app:pull,push")) == []
        assert access(seeder.token("repository:library/busybox:push"))[0]["actions"] == ["push"]
        malformed = owner.token("nonsense")
        assert malformed.status_code == 400
        assert "nonsense" in malformed.json()["errors"][0]["message"]


def test_anyone_pulls_the_mirrored_repositories_and_no_other(lab: Lab) -> None:
    with login(lab, SEEDER) as seeder, login(lab) as anyone:
        assert seeder.push_image("library/busybox", "latest")[0].status_code == 201
        assert anyone.manifest("library/busybox", "latest").status_code == 200
        assert seeder.push_image(REPOSITORY, "private")[0].status_code == 201
        assert anyone.manifest(REPOSITORY, "private").status_code == 403


def test_short_lived_login_as_bearer_token(lab: Lab) -> None:
    with login(lab, "BEARER_TOKEN", lab.admin.login_token(OWNER)) as client:
        assert client.push_image(REPOSITORY, "bearer")[0].status_code == 201
    with login(lab, "BEARER_TOKEN", "not-a-token") as client:
        assert access(client.token(PUSH)) == []


def test_oauth_post_by_password_and_by_refresh_token(lab: Lab) -> None:
    with login(lab) as client:
        form = {"grant_type": "password", "username": OWNER, "password": lab.passwords[OWNER], "scope": PUSH}
        first = client.http.post(TOKEN_PATH, data={**form, "access_type": "offline"}).json()
        second = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"], "scope": PUSH}
        token = client.http.post(TOKEN_PATH, data=second).json()["access_token"]
        url = f"/v2/{REPOSITORY}/blobs/uploads/"
        assert client.http.post(url, headers={"Authorization": f"Bearer {token}"}).status_code == 202
        assert client.http.post(TOKEN_PATH, data={"grant_type": "magic"}).status_code == 400
        with lab.admin.switch(accept_oauth_post=False):
            assert client.http.post(TOKEN_PATH, data=form).status_code == 405


def test_a_renewed_auth_token_works_at_once(lab: Lab) -> None:
    file = next(user.auth_token_file for user in lab.config.users if user.username == READER)
    before = file.read_bytes()
    try:
        file.write_text("renewed-auth-token\n")
        with login(lab, READER, "renewed-auth-token") as client:
            assert access(client.token(PULL))
        with login(lab, READER) as client:
            assert access(client.token(PULL)) == []
    finally:
        file.write_bytes(before)


def test_no_secret_is_logged_or_kept(lab: Lab) -> None:
    with login(lab, OWNER) as client:
        token = client.token(PUSH).json()["token"]
        assert client.push_image(REPOSITORY, "logged")[0].status_code == 201
    with login(lab, OWNER, "a-mistyped-password") as client:
        client.token(PUSH)
    seen = lab.log_file.read_text() + lab.registry_log_file.read_text() + str(lab.admin.requests())
    assert f"PUT /v2/{REPOSITORY}/manifests/logged status=201 subject={OWNER}" in seen
    for secret in (*lab.passwords.values(), token, "a-mistyped-password"):
        assert secret not in seen
    # Any signed token, not only those this test holds.
    assert not re.search(r"eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+", seen)
