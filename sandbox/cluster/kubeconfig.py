"""Kubeconfig files with everything embedded, so that a copy works by itself."""

import base64
from pathlib import Path

import yaml

from sandbox.cluster.pki import Pair
from sandbox.double.files import replace_file


def render_kubeconfig(server: str, authority: Path, client: Pair, context: str) -> str:
    """The YAML text for one cluster, user and context, all called `context`."""
    user = {
        "client-certificate-data": _embedded(client.certificate),
        "client-key-data": _embedded(client.key),
    }
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": context,
                    "cluster": {"server": server, "certificate-authority-data": _embedded(authority)},
                }
            ],
            "users": [{"name": context, "user": user}],
            "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
            "current-context": context,
        },
        sort_keys=False,
    )


def write_kubeconfig(path: Path, server: str, authority: Path, client: Pair, context: str) -> None:
    """Put the kubeconfig at `path`, mode 0600, in one step."""
    replace_file(path, render_kubeconfig(server, authority, client, context).encode())


def _embedded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
