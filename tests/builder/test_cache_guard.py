"""The cache guard's policy, both ways."""

import json
from pathlib import Path

import pytest

from runbook_lib.builder.cache_guard import CacheOption, guard, joined, local_options, set_aside_broken
from runbook_lib.errors import CacheRefusedError
from runbook_lib.findings import Findings, Status

OCIR = "iad.ocir.io"


def judged(
    to: list[str],
    since: list[str] | None = None,
    *,
    pushed_to: str = OCIR,
    allowed: bool = False,
    says: object = ...,
    pending: bool = False,
) -> Findings:
    return guard(
        to,
        since or [],
        pushed_to=pushed_to,
        is_ocir=lambda host: host.endswith("ocir.io"),
        allowed=allowed,
        accepts=None if says is ... else lambda _option: says,  # type: ignore[arg-type,return-value]
        pending=pending,
    )


@pytest.mark.parametrize(
    "text",
    [
        "type=registry,ref=iad.ocir.io/ns/cache:1",
        '"type=registry","ref=iad.ocir.io/ns/cache:1"',
        "REF=iad.ocir.io/ns/cache:1,type=registry",
        "type=inline",
        "iad.ocir.io/ns/cache:1",
        "type=registry,ref=iad.ocir.io/ns/c,ignore-error=true",
    ],
)
def test_exports_to_ocir_are_refused_with_the_lines_to_use(text: str) -> None:
    with pytest.raises(CacheRefusedError, match="not verified") as caught:
        judged([text])
    assert "--export-cache type=local" in caught.value.remedy
    assert judged([text], allowed=True).worst is Status.WARN


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("type=registry,ref=iad.ocir.io/ns/cache:1", True),
        ("iad.ocir.io/ns/cache:1", True),
        ("type=registry,ref=fra.ocir.io/ns/cache:1", False),
        ("type=inline", False),
    ],
)
def test_a_probe_answers_for_what_it_tries_and_for_nothing_else(text: str, asked: bool) -> None:
    """It sends a cache manifest to the registry that is pushed to; inline rides in an ordinary image."""
    if asked:
        assert judged([text], says=True).worst is Status.OK
        [open_question] = judged([text], pending=True)
        assert open_question.status is Status.WARN
        assert "is asked before the build" in open_question.message
    else:
        for given in ({"says": True}, {"says": None}, {"pending": True}):
            with pytest.raises(CacheRefusedError, match="is an OCIR host") as caught:
                judged([text], **given)  # type: ignore[arg-type]
            assert "probe_cache" not in caught.value.remedy, "it is set, and does not help here"
    with pytest.raises(CacheRefusedError) as caught:
        judged([text])
    assert ("probe_cache" in caught.value.remedy) is asked


@pytest.mark.parametrize(
    ("text", "pushed_to"),
    [
        ("type=local,dest=/c", OCIR),
        ("type=registry,ref=registry.example:5000/c", OCIR),
        ("type=registry,ref=user/cache", OCIR),
        ("type=inline", "registry.example"),
        ("type=s3,bucket=b", OCIR),
    ],
)
def test_other_exports_pass(text: str, pushed_to: str) -> None:
    assert judged([text], pushed_to=pushed_to).worst is Status.OK


def test_a_refused_probe_decides_for_any_registry() -> None:
    with pytest.raises(CacheRefusedError, match="when probed"):
        judged(["type=registry,ref=registry.example/c"], pushed_to="registry.example", says=False)


@pytest.mark.parametrize(
    "text", ["type=Registry,ref=x/y", "type=,dest=/c", "type=local,dest", 'type=local,"x']
)
def test_options_that_buildctl_would_not_take_are_refused(text: str) -> None:
    with pytest.raises(CacheRefusedError):
        CacheOption.parse(text)


def test_imports_from_ocir_only_warn() -> None:
    assert judged([], ["type=registry,ref=iad.ocir.io/ns/c"]).worst is Status.WARN
    assert judged([], ["type=local,src=/c"]).worst is Status.OK


def test_a_local_cache_is_imported_only_when_whole(tmp_path: Path) -> None:
    assert local_options(tmp_path)[1] == []
    (tmp_path / "index.json").write_text("{ broken")
    assert local_options(tmp_path)[1] == []
    (tmp_path / "index.json").write_text(json.dumps({"manifests": [{}]}))
    assert local_options(tmp_path)[1] == [f"type=local,src={tmp_path}"]


@pytest.mark.parametrize(("text", "goes"), [("{ cut", True), ("[]", True), ("{}", False), ("\xff", True)])
def test_only_a_broken_index_is_set_aside(tmp_path: Path, text: str, goes: bool) -> None:
    set_aside_broken(tmp_path)
    (tmp_path / "index.json").write_text(text, encoding="latin-1")
    set_aside_broken(tmp_path)
    assert (tmp_path / "index.json").exists() is not goes
    assert (tmp_path / "index.json.broken").exists() is goes


def test_fields_with_commas_are_quoted() -> None:
    assert joined({"type": "image", "name": "a,b"}) == 'type=image,"name=a,b"'
