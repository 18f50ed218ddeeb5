"""A registry client that follows challenges as docker and BuildKit do, for tests and measurements."""

import hashlib
import json
import re
import ssl
from dataclasses import dataclass
from typing import Self
from urllib.parse import urljoin

import httpx

from sandbox.double.config import TOKEN_PATH

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
_PAIR = re.compile(r'(\w+)="([^"]*)"')


def digest_of(content: bytes) -> str:
    """The digest by which a registry names this content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True)
class Descriptor:
    """A blob or manifest: media type, digest and size in bytes."""

    media_type: str
    digest: str
    size: int

    def document(self) -> dict[str, object]:
        """As it stands in a manifest."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


class Client:
    """One login at one registry host. Answers are returned as they are, nothing is raised for a status."""

    def __init__(
        self, host: str, ca_file: str, username: str = "", password: str = "", timeout: float = 30
    ) -> None:
        self.host, self._login = host, httpx.BasicAuth(username, password) if username else None
        context = ssl.create_default_context(cafile=ca_file)
        self.http = httpx.Client(base_url=f"https://{host}", verify=context, timeout=timeout, trust_env=False)
        self._tokens: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def token(self, scope: str) -> httpx.Response:
        """Ask the documented token path for a token."""
        fields = {"scope": scope, "service": self.host}
        return self.http.get(TOKEN_PATH, params=fields, auth=self._login)

    def call(
        self,
        method: str,
        url: str,
        scope: str,
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        """One request with the token for `scope`, fetched from the challenge's realm when there is none."""
        response = self._send(method, url, self._tokens.get(scope), headers, content)
        if response.status_code != httpx.codes.UNAUTHORIZED or scope in self._tokens:
            return response
        challenge = dict(_PAIR.findall(response.headers["WWW-Authenticate"]))
        fields = {"service": challenge["service"], "scope": scope}
        answer = self.http.get(challenge["realm"], params=fields, auth=self._login)
        answer.raise_for_status()
        self._tokens[scope] = answer.json()["token"]
        return self._send(method, url, self._tokens[scope], headers, content)

    def push_blob(
        self, repository: str, content: bytes, media_type: str = LAYER_TYPE
    ) -> tuple[httpx.Response, Descriptor]:
        """Open an upload and put the whole blob, as BuildKit does; the answer that ended it."""
        scope = f"repository:{repository}:pull,push"
        descriptor = Descriptor(media_type, digest_of(content), len(content))
        opened = self.call("POST", f"/v2/{repository}/blobs/uploads/", scope)
        if opened.status_code != httpx.codes.ACCEPTED:
            return opened, descriptor
        location = urljoin(f"https://{self.host}", opened.headers["Location"])
        url = httpx.URL(location).copy_merge_params({"digest": descriptor.digest})
        headers = {"Content-Type": "application/octet-stream"}
        return self.call("PUT", str(url), scope, content=content, headers=headers), descriptor

    def push_manifest(
        self, repository: str, tag: str, manifest: dict[str, object]
    ) -> tuple[httpx.Response, str]:
        """Put a manifest or index under a tag; the answer and the digest."""
        content = json.dumps(manifest).encode()
        headers = {"Content-Type": str(manifest["mediaType"])}
        url, scope = f"/v2/{repository}/manifests/{tag}", f"repository:{repository}:pull,push"
        return self.call("PUT", url, scope, content=content, headers=headers), digest_of(content)

    def push_image(
        self, repository: str, tag: str, content: bytes = b"layer", config_type: str = CONFIG_TYPE
    ) -> tuple[httpx.Response, str]:
        """Push a one-layer image; the first answer that is no success, or the manifest's, and its digest."""
        blobs = []
        for body, media_type in (
            (b'{"os":"linux","architecture":"amd64"}', config_type),
            (content, LAYER_TYPE),
        ):
            answer, descriptor = self.push_blob(repository, body, media_type)
            if not answer.is_success:
                return answer, descriptor.digest
            blobs.append(descriptor)
        return self.push_manifest(repository, tag, image_manifest(blobs[0], blobs[1:]))

    def manifest(self, repository: str, reference: str, method: str = "GET") -> httpx.Response:
        """Read a manifest or index."""
        headers = {"Accept": f"{MANIFEST_TYPE}, {INDEX_TYPE}"}
        scope = f"repository:{repository}:pull"
        return self.call(method, f"/v2/{repository}/manifests/{reference}", scope, headers=headers)

    def blob(self, repository: str, digest: str, **headers: str) -> httpx.Response:
        """Read a blob, or the part a Range header asks for."""
        scope = f"repository:{repository}:pull"
        return self.call("GET", f"/v2/{repository}/blobs/{digest}", scope, headers=headers)

    def _send(
        self, method: str, url: str, token: str | None, headers: dict[str, str] | None, content: bytes | None
    ) -> httpx.Response:
        sent = dict(headers or {})
        if token:
            sent["Authorization"] = f"Bearer {token}"
        return self.http.request(method, url, headers=sent, content=content)


def image_manifest(config: Descriptor, layers: list[Descriptor]) -> dict[str, object]:
    """An OCI image manifest."""
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config.document(),
        "layers": [layer.document() for layer in layers],
    }


def index(manifests: list[dict[str, object]]) -> dict[str, object]:
    """An OCI index over ready descriptors."""
    return {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests}
