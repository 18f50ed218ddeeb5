"""The registry's API as far as it is needed: tokens, manifests, blobs, uploads (OCI distribution-spec)."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import quote

import httpx

from runbook_lib.errors import RegistryError
from runbook_lib.registry.addresses import same_origin, upload_address
from runbook_lib.registry.challenge import Challenge, parse
from runbook_lib.registry.explain import error_for
from runbook_lib.registry.logins import Login
from runbook_lib.registry.token import Token
from runbook_lib.registry.token_flow import fetch_token
from runbook_lib.registry.transport import ATTEMPTS, Answer, Transport

MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest as served. `digest` is computed from `body`; `claimed` is what the registry says it is."""

    media_type: str
    digest: str
    body: bytes
    claimed: str = ""


class RegistryClient:
    """One registry, one login or none. Requests are bounded by `timeout` seconds; close it after use.

    Every method raises the RegistryError family: unreachable, TLS, login refused, push denied, or
    RegistryAnswerError for any other unexpected answer, explained.
    """

    def __init__(
        self,
        host: str,
        login: Login | None = None,
        ca: str = "",
        timeout: float = 15.0,
        attempts: int = ATTEMPTS,
    ) -> None:
        self.host = host
        self.login = login
        self.last_token: Token | None = None
        self._transport = Transport(host, ca, timeout, attempts)
        self._challenge: Challenge | None = None
        self._asked = False
        self._tokens: dict[tuple[str, ...], Token] = {}

    def __enter__(self) -> RegistryClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    @property
    def clock_skew(self) -> float | None:
        """Seconds that the registry's clock was ahead of this one in its last answer; None: not known."""
        return self._transport.skew

    def challenge(self) -> Challenge | None:
        """How the registry wants logins; None where it wants none, as far as it was asked.

        It is asked once, without a login. A request that is refused later may tell more.
        """
        if not self._asked:
            answer = self._transport.send("GET", self._url("/v2/"))
            if answer.status == 401:
                self._challenge = parse(", ".join(answer.headers.get_list("WWW-Authenticate")), self.host)
            elif answer.status != 200:
                raise error_for(
                    answer.status, answer.body, self.host, "asking whether it is a registry", answer.headers
                )
            self._asked = True
        return self._challenge

    def token(self, scopes: Sequence[str]) -> Token | None:
        """A token for scopes such as `repository:ns/app:pull,push`; None where the registry uses none.

        Raises:
            LoginRefusedError, AnonymousTokenError: the credential was not accepted.
        """
        challenge = self.challenge()
        if challenge is None or challenge.scheme == "basic":
            return None
        key = tuple(scopes)
        if key not in self._tokens:
            self.last_token = fetch_token(self._transport, challenge, self.login, key)
            self._tokens[key] = self.last_token
        return self._tokens[key]

    def manifest(self, repository: str, ref: str) -> Manifest:
        """The manifest of a tag or digest; its digest is computed here."""
        answer = self.ask(
            "GET", repository, f"manifests/{ref}", headers={"Accept": ", ".join(MANIFEST_TYPES)}
        )
        self._expect(answer, (200,), repository, f"reading {ref}")
        media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        claimed = answer.headers.get("Docker-Content-Digest", "")
        return Manifest(media_type, sha256_of(answer.body), answer.body, claimed)

    def blob_size(self, repository: str, digest: str) -> int | None:
        """Size in bytes of a blob by HEAD, -1 where the registry does not say it, None where it has none."""
        answer = self.ask("HEAD", repository, f"blobs/{digest}")
        if answer.status == 404:
            return None
        self._expect(answer, (200,), repository, f"looking for blob {digest}")
        size = answer.headers.get("Content-Length", "")
        return int(size) if re.fullmatch(r"[0-9]{1,18}", size) else -1

    def blob(self, repository: str, digest: str) -> bytes:
        """The bytes of a small blob (at most MOST_BYTES), as they are served: not held against the digest."""
        answer = self.ask("GET", repository, f"blobs/{digest}")
        self._expect(answer, (200,), repository, f"reading blob {digest}")
        return answer.body

    def blob_exists(self, repository: str, digest: str) -> bool:
        """True when the registry has the blob."""
        return self.blob_size(repository, digest) is not None

    def start_upload(self, repository: str) -> str:
        """Open a blob upload and return its address: the first thing that a push does.

        Raises:
            RegistryAnswerError: also where that address has no TLS.
        """
        answer = self.ask("POST", repository, "blobs/uploads/", push=True)
        self._expect(answer, (202,), repository, "starting a push")
        return upload_address(self.host, repository, answer.url, answer.headers.get("Location", ""))

    def cancel_upload(self, repository: str, location: str) -> bool:
        """Give an upload up; False where the registry does not let us (it then expires by itself)."""
        return self._delete(location, repository)

    def put_blob(self, repository: str, data: bytes) -> str:
        """Upload a small blob in one piece; returns its digest."""
        digest = sha256_of(data)
        if self.blob_exists(repository, digest):
            return digest
        location = self.start_upload(repository)
        location = str(httpx.URL(location).copy_merge_params({"digest": digest}))
        headers = {"Content-Type": "application/octet-stream"}
        answer = self._send("PUT", location, repository, "pull,push", headers, data)
        self._expect(answer, (201, 204), repository, "uploading a blob")
        return digest

    def delete_manifest(self, repository: str, digest: str) -> bool:
        """Delete a manifest; False where the registry does not allow it, True also where it is gone."""
        return self._delete(self._url(f"/v2/{repository}/manifests/{digest}"), repository)

    def _delete(self, url: str, repository: str) -> bool:
        """Distribution wants the action `delete` even to cancel an upload; OCIR knows no such scope."""
        for actions in ("pull,push", "pull,push,delete"):
            try:
                answer = self._send("DELETE", url, repository, actions)
            except RegistryError:
                return False
            if answer.status in (200, 202, 204, 404):
                return True
        return False

    def ask(
        self,
        method: str,
        repository: str,
        path: str,
        *,
        push: bool = False,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
    ) -> Answer:
        """One authorised request below /v2/<repository>/; the answer as it is, whatever its status."""
        url = self._url(f"/v2/{repository}/{quote(path, safe='/:@')}")
        return self._send(method, url, repository, "pull,push" if push else "pull", headers, content)

    def _send(
        self,
        method: str,
        url: str,
        repository: str,
        actions: str,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
    ) -> Answer:
        scope = f"repository:{repository}:{actions}"
        authorised = {**(headers or {}), **self._authorization(url, scope)}
        answer = self._transport.send(method, url, authorised, content)
        if answer.status == 401 and (self._tokens.pop((scope,), None) is not None or self._asks_now(answer)):
            # The token may have run out since it was fetched; a second 401 is the registry's last word.
            authorised.update(self._authorization(url, scope))
            answer = self._transport.send(method, url, authorised, content)
        return answer

    def _asks_now(self, answer: Answer) -> bool:
        """True where this answer is the first to ask for the login: /v2/ is open, and pushes are not."""
        asked = answer.headers.get_list("WWW-Authenticate")
        elsewhere = not same_origin(answer.url, self._url(""))  # storage, which must not see the login
        if self.login is None or self.challenge() is not None or not asked or elsewhere:
            return False
        self._challenge = parse(", ".join(asked), self.host)
        return True

    def _authorization(self, url: str, scope: str) -> dict[str, str]:
        """The header for this request; none for another origin (upload addresses may lead elsewhere)."""
        if not same_origin(url, self._url("")):
            return {}
        token = self.token([scope])
        if token is not None:
            return {"Authorization": f"Bearer {token.value.reveal()}"}
        return {"Authorization": basic(self.login)} if self.login and self.challenge() else {}

    def _url(self, path: str) -> str:
        host = "registry-1.docker.io" if self.host in ("docker.io", "index.docker.io") else self.host
        return f"https://{host}{path}"

    def _expect(self, answer: Answer, good: tuple[int, ...], repository: str, doing: str) -> None:
        if answer.status not in good:
            raise error_for(answer.status, answer.body, f"{self.host}/{repository}", doing, answer.headers)


def basic(login: Login) -> str:
    """The value of a Basic Authorization header (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{login.username}:{login.secret.reveal()}".encode()).decode()


def sha256_of(data: bytes) -> str:
    """The digest of `data` as registries write it."""
    return "sha256:" + hashlib.sha256(data).hexdigest()
