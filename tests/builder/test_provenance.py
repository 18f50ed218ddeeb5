"""The release's provenance: taken where it names this archive of this project, refused where it does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trustme

from runbook_lib.builder.buildctl_release import expected_sha256, release_url
from runbook_lib.builder.provenance import sha256_of_subject
from runbook_lib.errors import ChecksumError, DownloadError

from .hostile import serve

VERSION = "v0.34.2"
NAME = f"buildkit-{VERSION}.linux-amd64.tar.gz"
SHA = "ab" * 32
RUN = "https://github.com/moby/buildkit/actions/runs/1/attempts/1"
GIT = "https://github.com/moby/buildkit.git"
V02 = {"builder": {"id": RUN}, "invocation": {"configSource": {"uri": f"{GIT}#refs/tags/{VERSION}"}}}
V1 = {
    "runDetails": {"builder": {"id": RUN}},
    "buildDefinition": {"externalParameters": {"configSource": {"uri": f"git+{GIT}@refs/tags/{VERSION}"}}},
}


def statement(predicate: Any = V02, subject: Any = None, **more: Any) -> bytes:  # noqa: ANN401
    named = [{"name": f"linux_amd64/{NAME}", "digest": {"sha256": SHA}}] if subject is None else subject
    kinds = {
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": "https://slsa.dev/provenance/v0.2",
    }
    return json.dumps({**kinds, "subject": named, "predicate": predicate, **more}).encode()


def subject(name: str = NAME, sha256: str = SHA) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": sha256}}


GOOD: list[tuple[Any, str]] = [
    (V02, RUN),
    (V1, RUN),
    ({"builder": {"id": ""}, "invocation": {"configSource": {"uri": GIT}}}, GIT),
    ({}, ""),
]
BAD: dict[str, tuple[bytes, str]] = {
    "not JSON": (b"<html>", "not an in-toto statement"),
    "nested deeply": (b"[" * 200_000, "not an in-toto statement"),
    "a list": (b"[]", "not an in-toto statement"),
    "no subject": (b'{"_type": "https://in-toto.io/Statement/v1", "predicateType": "x"}', "not an in-toto"),
    "subject a text": (statement(subject="x"), "not an in-toto"),
    "predicate a list": (statement([1]), "not an in-toto"),
    "SBOM": (statement(predicateType="https://spdx.dev/Document"), "not a provenance"),
    "another type": (statement(_type="https://example.com/"), "not a provenance"),
    "another archive": (statement(subject=[subject(f"other-{NAME}")]), "name one sha256"),
    "nothing": (statement(subject=[]), "name one sha256"),
    "two digests": (statement(subject=[subject(), subject(sha256="cd" * 32)]), "name one sha256"),
    "no hex": (statement(subject=[subject(sha256="x" * 64)]), "name one sha256"),
    "upper case": (statement(subject=[subject(sha256="AB" * 32)]), "name one sha256"),
    "another builder": (statement({"builder": {"id": "https://github.com/evil/buildkit/x"}}), "built by"),
    "a builder alike": (statement({"builder": {"id": "https://github.com/moby/buildkit-x/1"}}), "built by"),
    "another source": (
        statement({"invocation": {"configSource": {"uri": "https://github.com/evil/b.git#v"}}}), "built from"
    ),
    "another version": (
        statement({"invocation": {"configSource": {"uri": f"{GIT}#refs/tags/v0.1.0"}}}), "built from"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("predicate", "builder"), GOOD, ids=["v0.2", "v1", "no builder", "bare"])
def test_a_statement_over_this_archive_gives_its_sha256(predicate: Any, builder: str) -> None:  # noqa: ANN401
    assert sha256_of_subject(statement(predicate), NAME, VERSION, "w") == (SHA, builder)


@pytest.mark.parametrize(("body", "said"), BAD.values(), ids=BAD)
def test_any_other_statement_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(ChecksumError, match=said) as caught:
        sha256_of_subject(body, NAME, VERSION, "w")
    assert "buildctl_sha256" in caught.value.remedy


def test_what_is_found_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with serve(authority.issue_cert("127.0.0.1")) as server:
        url = release_url(server.url, VERSION, "linux/amd64")
        place = f"/{VERSION}/{NAME}".replace(".tar.gz", ".provenance.json")
        assert expected_sha256("", url) == ("", "")
        assert expected_sha256("cd" * 32, url) == ("cd" * 32, "buildctl_sha256")
        server.bodies[place] = statement()
        sha256, said = expected_sha256("", url)
        assert sha256 == SHA
        assert "names this archive" in said
        assert RUN in said
        server.bodies[place] = b"{}"
        with pytest.raises(ChecksumError, match="in-toto"):
            expected_sha256("", url)
        server.bodies[place] = b"x" * (5 << 20)
        with pytest.raises(DownloadError, match="larger than"):
            expected_sha256("", url)
