"""What the API server's audit log tells of the verbs that a ServiceAccount of manifests/ has used."""

from __future__ import annotations

import json
from pathlib import Path


def used_by(log: Path, namespace: str, role: str) -> set[tuple[str, str, str]]:
    """(group, resource, verb) that the account of `role` asked for and was given.

    Two verbs are asked for within a request of another: a server-side apply that makes an object is a patch
    that needs create as well; an exec is a get, and servers from 1.35 on want create as well.
    """
    user, used = f'"system:serviceaccount:{namespace}:buildkit-{role}"', set()
    for path in log.parent.glob(f"{log.stem}*{log.suffix}"):  # the older ones have a time in their names
        with path.open() as stream:
            entries = [json.loads(line) for line in stream if user in line and line.endswith("\n")]
        for entry in entries:
            about, verbs = entry.get("objectRef") or {}, {entry["verb"]}
            if (entry.get("annotations") or {}).get("authorization.k8s.io/decision") != "allow":
                continue
            resource = "/".join(filter(None, (about.get("resource"), about.get("subresource"))))
            made = entry["verb"] == "patch" and (entry.get("responseStatus") or {}).get("code") == 201
            if resource == "pods/exec" or made:
                verbs.add("create")
            used |= {(about.get("apiGroup", ""), resource, verb) for verb in verbs}
    return used
