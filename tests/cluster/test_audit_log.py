"""Reading the audit log, on lines as the sandbox's API server writes them."""

from __future__ import annotations

import json
from pathlib import Path

from audit_log import used_by


def test_a_verb_is_used_when_the_audit_log_tells_so(tmp_path: Path) -> None:
    def line(verb: str, resource: str, code: int = 200, decision: str = "allow", role: str = "look") -> str:
        name, _, sub = resource.partition("/")
        entry = {
            "verb": verb,
            "user": {"username": f"system:serviceaccount:team:buildkit-{role}"},
            "objectRef": {"resource": name, "namespace": "team", **({"subresource": sub} if sub else {})},
            "responseStatus": {"code": code},
            "annotations": {"authorization.k8s.io/decision": decision},
        }
        return json.dumps(entry) + "\n"

    older = line("patch", "secrets", 201) + line("get", "pods/exec", 101)
    (tmp_path / "audit-2026-01-01T00-00-00.000.log").write_text(older)
    newer = (
        line("get", "pods", 404) + line("list", "nodes", 403, "forbid") + line("watch", "pods", role="build")
    )
    (tmp_path / "audit.log").write_text(newer + line("patch", "pods") + line("delete", "pods").strip())
    assert used_by(tmp_path / "audit.log", "team", "look") == {
        ("", "pods", "get"),
        ("", "pods", "patch"),
        ("", "pods/exec", "get"),
        ("", "pods/exec", "create"),
        ("", "secrets", "patch"),
        ("", "secrets", "create"),
    }
    assert used_by(tmp_path / "audit.log", "team", "build") == {("", "pods", "watch")}
    assert used_by(tmp_path / "audit.log", "another", "look") == set()
