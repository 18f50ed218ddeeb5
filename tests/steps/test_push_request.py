"""What is asked of buildctl."""

from __future__ import annotations

from pathlib import Path

from runbook_lib.settings_sources import load
from runbook_lib.steps.push_request import request_of


def test_buildctl_fetches_tokens_with_the_authority_of_every_host_that_has_one(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\n")
    ours, theirs = tmp_path / "our, ca.pem", tmp_path / "their.pem"
    given = {
        "registry": "r.example:5000",
        "repository": "a",
        "context_dir": str(tmp_path),
        "registry_ca": str(ours),
        "mirrors": {"docker.io": ["m.example/hub", "m2.example:443"], "quay.io": ["r.example:5000"]},
        "more_registries": [
            {"registry": "m2.example:443", "credential": "env:A", "ca": str(theirs)},
            {"registry": "public.example", "credential": "env:B"},
        ],
    }
    words = request_of(load(given, environ={})).arguments()
    told = [words[n + 1] for n, word in enumerate(words) if word == "--registry-auth-tlscontext"]
    assert told == [
        f'host=m.example,"ca={ours}"',
        f"host=m2.example:443,ca={theirs}",
        f'host=r.example:5000,"ca={ours}"',
    ]


def test_no_authority_is_named_where_none_was_given(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\n")
    given = {"registry": "r.example", "repository": "a", "context_dir": str(tmp_path)}
    mirrored = {**given, "mirrors": {"docker.io": ["m.example"]}}
    for each in (given, mirrored):
        assert "--registry-auth-tlscontext" not in request_of(load(each, environ={})).arguments()
