"""Each cause of a refused login is found and said, and what is not asked for is not tried."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import jwt
import pytest
from serving import Reply

from runbook_lib.credentials import SecretValue
from runbook_lib.findings import Finding, Status
from runbook_lib.registry import user_names
from runbook_lib.registry.client import RegistryClient
from runbook_lib.registry.login import prove_login
from runbook_lib.registry.login_doctor import suspicions
from runbook_lib.registry.logins import Login
from runbook_lib.registry.refusal import causes_of_refusal
from runbook_lib.registry.targets import Target
from runbook_lib.registry.user_names import MOST, candidates, try_candidates
from sandbox.double.lab import FEDERATED, NAMESPACE, OWNER, Lab

from .conftest import MakeClient
from .fake_registry import Fake, fake_registry

HOST = "ocir.us-ashburn-1.oci.oraclecloud.com"
GOOD = Login("axyz123/oracleidentitycloudservice/jdoe", SecretValue("Go0d)to<ken;of(test"))
REPOSITORY = f"{NAMESPACE}/app"


def auths(**entries: str) -> dict[str, Any]:
    return {"auths": {host: {"auth": base64.b64encode(p.encode()).decode()} for host, p in entries.items()}}


def user(name: str) -> Login:
    return Login(name, GOOD.secret)


def token(secret: str) -> Login:
    return Login(GOOD.username, SecretValue(secret))


OTHER = auths(**{"iad.ocir.io": "a/b:other"})
CAUSES: dict[str, tuple[str, Login | None, dict[str, Any], str, str]] = {
    "short alias": (HOST, None, OTHER, "stored for iad.ocir.io, another name", f"log in under {HOST}"),
    "long alias": (
        "iad.ocir.io", None, auths(**{HOST: "a/b:c"}), f"stored for {HOST}, another name", "under iad.ocir.io"
    ),
    "another case": (
        "iad.ocir.io", None, auths(**{"IAD.ocir.io": "a/b:c"}), "stored for IAD.ocir.io", "under iad.ocir.io"
    ),
    "artifacts alias": (
        HOST, None, auths(**{"https://artifacts.us-ashburn-1.oci.oraclecloud.com/v2/": "a/b:c"}),
        "artifacts.us-ashburn-1.oci.oraclecloud.com", "log in under",
    ),
    "another login under the alias": (HOST, GOOD, OTHER, "different login is stored for iad.ocir.io", "same"),
    "no namespace": (HOST, user("jdoe"), {}, "namespace in front is missing", "oci os ns get"),
    "e-mail alone": (HOST, user("jdoe@acme.com"), {}, "an e-mail address alone", "<namespace>/<user>"),
    "double slash": (HOST, user("axyz123//jdoe"), {}, "a double slash", "<namespace>/<domain>/<user>"),
    "slash at the end": (HOST, user("axyz123/"), {}, "a slash at an end", "<namespace>/<user>"),
    "four parts": (HOST, user("a/b/c/d"), {}, "more than three parts", "<namespace>/<user>"),
    "no domain": (HOST, user("axyz123/jdoe"), {}, "no identity domain", "oracleidentitycloudservice/jdoe"),
    "tenancy": (HOST, user("AcmeCorp/d/jdoe"), {}, "looks like a tenancy's name", "oci os ns get"),
    "tenancy with a dash": (HOST, user("acme-corp/d/jdoe"), {}, "looks like a tenancy's name", "ns get"),
    "another namespace": (HOST, user("other1/d/jdoe"), {}, "namespace is other1", "which of them"),
    "line end": (HOST, token("secret-of-test\n"), {}, "a line end", "printf"),
    "blank": (HOST, token(" secret-of-test"), {}, "a blank", "printf"),
    "quotes": (HOST, token("'secret-of-test'"), {}, "in quotes", "as it was shown"),
    "OCID": (HOST, token("ocid1.credential.oc1..aaaa"), {}, "an OCID", "as it was shown"),
    "scheme": (HOST, token("Bearer secret-of-test"), {}, "name of a scheme", "as it was shown"),
    "auth value": (
        HOST, token(base64.b64encode(f"{GOOD.username}:x".encode()).decode()), {}, "`auth` value", "as it was"
    ),
    "JWT": (HOST, token("eyJhbGciOi.eyJzdWIi.c2lnbmF0"), {}, "a JWT", "BEARER_TOKEN"),
}  # fmt: skip


@pytest.mark.parametrize(("host", "login", "document", "cause", "remedy"), CAUSES.values(), ids=CAUSES)
def test_the_cause_is_named_with_its_remedy(
    host: str, login: Login | None, document: dict[str, Any], cause: str, remedy: str
) -> None:
    found = suspicions(host, "ocir", login, document, "axyz123/app")
    first = next(s for s in found if cause in s.cause)
    assert remedy in first.remedy
    if login is not None:
        assert login.secret.reveal().strip() not in " ".join(s.cause + s.remedy for s in found)


@pytest.mark.parametrize(
    ("host", "login"),
    [(HOST, GOOD), (HOST, Login("BEARER_TOKEN", SecretValue("eyJ0.eyJ1.c2ln"))), ("ghcr.io", user("jdoe"))],
)
def test_a_good_login_is_not_suspected(host: str, login: Login) -> None:
    flavor = "ocir" if host == HOST else "distribution"
    same = auths(**{h: f"{login.username}:{login.secret.reveal()}" for h in (host, "iad.ocir.io")})
    assert suspicions(host, flavor, login, same, "axyz123/app") == []


@pytest.mark.parametrize("secret", ["eyJhbGciOi.eyJzdWIi.c2lnbmF0", "ocid1.credential.oc1..aaaa"])
def test_the_forms_of_oci_tokens_mean_nothing_elsewhere(secret: str) -> None:
    """A JWT is an ordinary password at several registries."""
    login = Login("jdoe", SecretValue(secret))
    assert suspicions("registry.example", "distribution", login, {}) == []
    assert suspicions(HOST, "ocir", login, {}) != []


@pytest.mark.parametrize("secret", ["secret-of-test\n", "'secret-of-test'", "Bearer secret-of-test"])
def test_what_belongs_to_no_token_is_named_everywhere(secret: str) -> None:
    [found] = suspicions("registry.example", "distribution", Login("jdoe", SecretValue(secret)), {})
    assert found.certain
    assert "OCI" not in found.remedy


def test_another_region_is_no_alias() -> None:
    assert suspicions(HOST, "ocir", None, auths(**{"fra.ocir.io": "a/b:c", "ghcr.io": "a:b"})) == []


def target(lab: Lab, username: str, repository: str = REPOSITORY) -> Target:
    return Target(lab.host, username, "env:X", str(lab.folder / "ca.pem"), repository, "ocir")


def refused(client: RegistryClient, at: Target, *, tries: bool = False) -> list[Finding]:
    seconds = 5.0 if tries else 0.0
    return list(prove_login(client, at.repository, lambda c: causes_of_refusal(at, c, {}, try_for=seconds)))


def tokens_asked(lab: Lab) -> list[dict[str, Any]]:
    return [r for r in lab.admin.requests()["requests"] if r["path"].endswith("/token")]


def test_the_likely_cause_stands_in_the_remedy_of_the_failure(lab: Lab, client: MakeClient) -> None:
    login = "labns//jdoe"
    lab.admin.clear_requests()
    found = refused(client(login, lab.passwords[OWNER]), target(lab, login))
    assert found[0].status is Status.FAIL
    assert found[0].remedy.startswith("likely: user name 'labns//jdoe': it has an empty part")
    assert {f.status for f in found[1:]} == {Status.WARN}
    assert len(tokens_asked(lab)) == 1, "no other name is tried without being asked to"


def test_other_user_names_are_tried_on_request_and_once_only(lab: Lab, client: MakeClient) -> None:
    mine = f"{NAMESPACE}/jdoe@acme.com"
    lab.admin.clear_requests()
    found = refused(client(mine, lab.passwords[FEDERATED]), target(lab, mine), tries=True)
    assert f"{FEDERATED} is accepted with this token" in found[1].message
    assert FEDERATED in found[1].remedy
    assert len(tokens_asked(lab)) == 2
    again = refused(client(mine, lab.passwords[FEDERATED]), target(lab, mine), tries=True)
    assert len(tokens_asked(lab)) == 4, "the refused login, and the one name that is left"
    assert FEDERATED not in again[1].message, "it was asked for before"


@pytest.mark.parametrize("anonymous", [True, False])
def test_a_wrong_token_costs_three_more_logins_and_no_more(
    lab: Lab, client: MakeClient, anonymous: bool
) -> None:
    secret = f"wrong-token-{anonymous}"
    lab.admin.clear_requests()
    with lab.admin.switch(anonymous_token_on_bad_credentials=anonymous):
        for _ in range(3):
            found = refused(client(OWNER, secret), target(lab, OWNER, "other/app"), tries=True)
    assert "all were tried before" in found[1].message
    assert len(tokens_asked(lab)) == 3 + MOST
    assert not any("accepted with" in f.message for f in found)


def test_a_rate_limit_stops_the_tries(lab: Lab) -> None:
    login = Login(OWNER, SecretValue("yet-another-wrong-token"))
    lab.admin.clear_requests()
    with lab.admin.fault("status", status=429, path="/token", retry_after=0):
        found = try_candidates(target(lab, OWNER, "other/app"), login, 5.0)
    assert found.message.startswith("stopped after 1: ")
    assert len(tokens_asked(lab)) == 1


@pytest.mark.parametrize("name", ["", "/", "jdoe", "ns/jdoe", "ns//jdoe", "NS/d/jdoe", "a/b/c/d/e"])
def test_candidates_are_few_new_and_well_formed(name: str) -> None:
    found = candidates(name, "own/app")
    assert len(found) <= MOST
    assert name not in found
    assert all(len(c.split("/")) in (2, 3) and all(c.split("/")) for c in found)
    assert bool(found) is bool(name.strip("/"))


def answers(date: float, begins: float, ends: float, subject: str) -> Callable[[Fake, str, str], Reply]:
    """A registry with its own clock, whose token is good from `begins` to `ends` and never accepted."""

    def reply(fake: Fake, method: str, path: str) -> Reply:
        headers = {"Date": formatdate(date, usegmt=True)}
        if path.startswith("/token"):
            claims = {"sub": subject, "iat": int(begins), "exp": int(ends)}
            body = {"token": jwt.encode(claims, "k" * 32, algorithm="HS256")}
            return 200, headers, json.dumps(body).encode()
        challenge = f'Bearer realm="https://{fake.host}/token",service="s"'
        return 401, {**headers, "WWW-Authenticate": challenge}, b"{}"

    return reply


@pytest.mark.parametrize(
    ("shift", "begins", "ends", "said"),
    [
        (1800, 0, 300, "clock is 30 minutes behind"),
        (-1800, 0, 300, "clock is 30 minutes ahead of"),
        (0, 1200, 1500, "only good in 20 minutes"),
        (0, -1500, -1200, "ended 20 minutes before it came"),
        (240, 240, 540, ""),
    ],
)
def test_clocks_that_disagree_are_named(
    tmp_path: Path, shift: float, begins: float, ends: float, said: str
) -> None:
    now = time.time()
    with fake_registry(tmp_path, answers(now + shift, now + begins, now + ends, "ns/u")) as fake:
        at = Target(fake.host, "ns/d/u", "env:X", fake.ca, "ns/app", "ocir")
        with RegistryClient(fake.host, Login("ns/d/u", SecretValue("token-1")), fake.ca, 3) as client:
            found = refused(client, at)
    assert found[0].status is Status.FAIL
    causes = " | ".join(f.message for f in found[1:])
    assert (said in causes) if said else (causes == "")


def test_a_date_that_is_none_is_no_skew(tmp_path: Path) -> None:
    with (
        fake_registry(tmp_path, lambda *_: (200, {"Date": "today"}, b"{}")) as fake,
        RegistryClient(fake.host, None, fake.ca, 3) as client,
    ):
        client.challenge()
        assert client.clock_skew is None


def test_a_token_that_does_not_tell_is_not_called_accepted(tmp_path: Path) -> None:
    def reply(fake: Fake, method: str, path: str) -> Reply:
        if path.startswith("/token"):
            return 200, {}, b'{"token": "opaque"}'
        return 401, {"WWW-Authenticate": f'Bearer realm="https://{fake.host}/token",service="s"'}, b"{}"

    with fake_registry(tmp_path, reply) as fake:
        at = Target(fake.host, "ns/u", "env:X", fake.ca, "ns/app", "ocir")
        found = try_candidates(at, Login("ns/u", SecretValue("token-2")), 3.0)
        asked = [path for _, path, _ in fake.seen if path.startswith("/token")]
    assert "none is accepted" in found.message
    assert 0 < len(asked) <= MOST
    assert user_names.MOST == 3
