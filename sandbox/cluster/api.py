"""The few questions the sandbox asks its API server and its registry, over HTTP with client certificates."""

import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import httpx

from sandbox.cluster.identity import Identity
from sandbox.cluster.layout import Layout
from sandbox.cluster.pki import pair
from sandbox.cluster.registry import USERNAME
from sandbox.double.config import TOKEN_PATH

_TIMEOUT = 5.0


def _context(layout: Layout, client: str | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=layout.registry_ca)
    if client:
        files = pair(layout.pki, client)
        context.load_cert_chain(files.certificate, files.key)
    return context


class Api:
    """The API server as the administrator; every method raises httpx.HTTPError when it does not answer."""

    def __init__(self, layout: Layout, identity: Identity) -> None:
        self._client = httpx.Client(
            base_url=f"https://127.0.0.1:{identity.ports['apiserver']}",
            verify=_context(layout, "admin"),
            timeout=_TIMEOUT,
            trust_env=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def ready(self) -> bool:
        """Whether /readyz says ok."""
        return self._client.get("/readyz").text == "ok"

    def get(self, path: str) -> dict[str, Any] | None:
        """The object at `path`, or None when there is none."""
        response = self._client.get(path)
        if response.status_code == 404:
            return None
        result: dict[str, Any] = response.raise_for_status().json()
        return result

    def pods(self) -> list[tuple[str, str]]:
        """Namespace and name of every pod."""
        listed = self.get("/api/v1/pods") or {}
        return [(pod["metadata"]["namespace"], pod["metadata"]["name"]) for pod in listed.get("items", [])]

    def delete_pod(self, namespace: str, name: str, grace_seconds: int) -> None:
        """Ask for a pod's deletion; one that is gone already is fine."""
        url = f"/api/v1/namespaces/{namespace}/pods/{name}"
        response = self._client.delete(url, params={"gracePeriodSeconds": grace_seconds})
        if response.status_code != 404:
            response.raise_for_status()


def registry_is_ready(layout: Layout, identity: Identity) -> bool:
    """Whether the registry asks for a login on /v2/ and takes the first user's for a token that opens it."""
    base = f"https://{identity.registry}"
    login = httpx.BasicAuth(USERNAME, layout.admin_token.read_text().strip())
    with httpx.Client(verify=_context(layout), timeout=_TIMEOUT, trust_env=False) as client:
        challenge = client.get(f"{base}/v2/")
        if challenge.status_code != 401 or "www-authenticate" not in challenge.headers:
            return False
        answer = client.get(f"{base}{TOKEN_PATH}", auth=login, params={"service": identity.registry})
        token = answer.json().get("token") if answer.status_code == 200 else None
        if not token:
            return False
        return client.get(f"{base}/v2/", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def image_is_served(layout: Layout, identity: Identity, repository: str, tag: str) -> bool:
    """Whether the registry serves a manifest to an anonymous puller, as the node's runtime will be one."""
    base, scope = f"https://{identity.registry}", f"repository:{repository}:pull"
    with httpx.Client(verify=_context(layout), timeout=_TIMEOUT, trust_env=False) as client:
        answer = client.get(f"{base}{TOKEN_PATH}", params={"service": identity.registry, "scope": scope})
        if answer.status_code != 200:
            return False
        headers = {
            "Authorization": f"Bearer {answer.json().get('token', '')}",
            "Accept": "application/vnd.oci.image.manifest.v1+json",
        }
        return client.head(f"{base}/v2/{repository}/manifests/{tag}", headers=headers).status_code == 200


def is_listening(path: Path) -> bool:
    """Whether a unix socket exists and takes connections."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def serves_kubelet(ctr: Path, address: Path) -> bool:
    """Whether containerd's plugin for the kubelet (CRI) is loaded and well, by word of `ctr plugins ls`."""
    command = [str(ctr), "--address", str(address), "plugins", "ls"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (subprocess.SubprocessError, OSError):
        return False
    rows = [line.split() for line in done.stdout.splitlines()]
    return any(row[:2] == ["io.containerd.grpc.v1", "cri"] and row[-1] == "ok" for row in rows)
