"""A client of the double's admin interface for tests and scripts.

admin = Admin("http://127.0.0.1:5002")
with admin.fault("status", status=503, method="PUT", path="/manifests/", times=1):
    ...
with admin.switch(repository_must_exist=True):
    ...
"""

import socket as socket_module
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx

from sandbox.double.errors import AdminError

_TIMEOUT_SECONDS = 10


class Admin:
    """Speaks to one double, by URL or unix socket. Each method raises AdminError with the double's reason."""

    def __init__(self, url: str = "http://localhost", socket: Path | None = None) -> None:
        transport = httpx.HTTPTransport(uds=str(socket) if socket else None)
        self._client = httpx.Client(
            base_url=url, transport=transport, timeout=_TIMEOUT_SECONDS, trust_env=False
        )
        self._where, self._socket = str(socket or url), socket

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def health(self) -> dict[str, Any]:
        """`{"status": "ok", "pid": …}` once the double serves."""
        result: dict[str, Any] = self._call("GET", "/health")
        return result

    def add_fault(
        self,
        kind: str,
        *,
        method: str | None = None,
        path: str = "",
        after: int = 0,
        times: int | None = None,
        probability: float = 1.0,
        **action: object,
    ) -> int:
        """Put a fault in force and return its id; kinds, keys and matching: sandbox/double/faults.py."""
        match = {"method": method, "path": path, "after": after, "times": times, "probability": probability}
        return int(self._call("POST", "/faults", {**match, "action": {"kind": kind, **action}})["id"])

    @contextmanager
    def fault(self, kind: str, **keys: Any) -> Iterator[int]:  # noqa: ANN401 - the keys of add_fault
        """The same for the time of a `with` block; gives the id."""
        number = self.add_fault(kind, **keys)
        try:
            yield number
        finally:
            self._call("DELETE", f"/faults/{number}", missing_ok=True)

    def faults(self) -> list[dict[str, Any]]:
        """The faults in force, each with `id`, `matched` and `struck`."""
        result: list[dict[str, Any]] = self._call("GET", "/faults")
        return result

    def clear_faults(self) -> None:
        """Take every fault out of force."""
        self._call("DELETE", "/faults")

    def switches(self) -> dict[str, bool]:
        """The switches as they stand (config.Switches)."""
        result: dict[str, bool] = self._call("GET", "/switches")
        return result

    def set_switches(self, **switches: bool) -> None:
        """Set some switches until the next reset or restart."""
        self._call("PATCH", "/switches", switches)

    @contextmanager
    def switch(self, **switches: bool) -> Iterator[None]:
        """Set some switches for the time of a `with` block, then put them back."""
        before = self.switches()
        self.set_switches(**switches)
        try:
            yield
        finally:
            self.set_switches(**{name: before[name] for name in switches})

    def create_repository(self, name: str) -> None:
        """Create a repository; AdminError if it was created before."""
        self._call("POST", "/repositories", {"name": name})

    def delete_repository(self, name: str) -> None:
        """Forget a repository created here; images pushed to it stay, and count as its existence."""
        self._call("DELETE", f"/repositories/{name}")

    def repositories(self) -> list[str]:
        """The names that exist without an image."""
        result: list[str] = self._call("GET", "/repositories")
        return result

    def requests(self) -> dict[str, Any]:
        """`total`, `by_status`, `by_method` and the last 1000 `requests`, oldest first."""
        result: dict[str, Any] = self._call("GET", "/requests")
        return result

    def clear_requests(self) -> None:
        """Forget the requests seen so far."""
        self._call("DELETE", "/requests")

    def login_token(self, username: str, lifetime: int = 3600) -> str:
        """A short-lived password for user BEARER_TOKEN, as a signed request to OCIR would give; secret."""
        return str(self._call("POST", "/login-token", {"username": username, "lifetime": lifetime})["token"])

    def reset(self) -> None:
        """Back to the configuration."""
        self._call("POST", "/reset")

    def _probe_socket(self) -> None:
        """Fail here when nobody listens on the unix socket: httpcore 1.0.9 leaks its own after a refusal."""
        if self._socket:
            with socket_module.socket(socket_module.AF_UNIX) as probe:
                probe.settimeout(_TIMEOUT_SECONDS)
                probe.connect(str(self._socket))

    def _call(self, method: str, path: str, body: object = None, *, missing_ok: bool = False) -> Any:  # noqa: ANN401
        try:
            self._probe_socket()
            response = self._client.request(method, path, json=body)
        except (httpx.HTTPError, OSError) as error:
            raise AdminError(
                "the registry double does not answer",
                f"{self._where} ({type(error).__name__})",
                "See that it runs: its log names what stopped it.",
            ) from error
        if response.is_success:
            return response.json() if response.content else None
        if missing_ok and response.status_code == httpx.codes.NOT_FOUND:
            return None
        raise AdminError(
            "the registry double refused a request",
            f"{method} {path}: {response.status_code} {response.text}",
            "The keys are described in sandbox/double/admin_api.py and faults.py.",
        )
