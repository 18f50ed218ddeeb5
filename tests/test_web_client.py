"""Variables for proxies and CAs that cannot be used: a typed error names the variable, not its value."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from runbook_lib.builder.fetch import download
from runbook_lib.builder.web import get_small
from runbook_lib.errors import DownloadError, RegistryTlsError, RegistryUnreachableError, RunbookError
from runbook_lib.progress import silent_sink
from runbook_lib.registry.client import RegistryClient
from runbook_lib.web_client import new_client

URL = "https://files.example/buildctl"
PASSWORD = "p@ss:word"
BAD = {
    "SOCKS": ("ALL_PROXY", "socks5://127.0.0.1:1080", "socksio"),
    "unknown scheme": ("HTTPS_PROXY", f"foo://user:{PASSWORD}@proxy", "names no proxy"),
    "no port": ("HTTP_PROXY", f"http://user:{PASSWORD}@proxy:x", "names no proxy"),
    "CA file that is not there": ("SSL_CERT_FILE", "/nonexistent", "No such file"),
    "CA file without a certificate": ("SSL_CERT_FILE", "/dev/null", "no PEM certificate"),
    "key log": ("SSLKEYLOGFILE", "/nonexistent/keys", "No such file"),
}
CALLS: dict[str, Callable[[Path], object]] = {
    "download": lambda f: download(URL, f / "buildctl", sha256="", checked="", sink=silent_sink),
    "small file": lambda _: get_small(URL),
    "registry": lambda _: RegistryClient("files.example"),
}


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("case", BAD)
def test_a_variable_that_cannot_be_used_is_named(
    case: str, call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable, value, says = BAD[case]
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv(variable, value)
    with pytest.raises(RunbookError, match=says) as caught:
        CALLS[call](tmp_path)
    of_registry = RegistryUnreachableError if "PROXY" in variable else RegistryTlsError
    assert type(caught.value) is (of_registry if call == "registry" else DownloadError)
    assert "files.example" in caught.value.where
    assert variable in caught.value.what
    assert variable in caught.value.remedy
    assert "word" not in str(caught.value)


EXEMPT = {
    "localhost,fd00::/8,.a.example": ["https://b.a.example"],
    "[::1],[fd00::]/8": ["https://[::1]:5000"],
    "::1, 10.0.0.1": ["https://[::1]", "https://10.0.0.1:5000"],
    "a.example:5000": ["https://a.example:5000"],
    "http://a.example": ["http://a.example"],
    "x,*": ["https://far.example"],
}


@pytest.mark.parametrize("entries", EXEMPT)
def test_what_other_tools_know_in_no_proxy_stops_nothing(
    entries: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", entries)
    with new_client(DownloadError, URL):
        pass
    asked: list[tuple[str, str]] = []

    def noted(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        asked.append((type(transport._pool).__name__, str(request.url)))
        return httpx.Response(200)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", noted)
    monkeypatch.setenv("ALL_PROXY", "proxy.example:3128")
    others = [] if "*" in entries else ["https://far.example", "https://a.example", "https://[fd00::1]"]
    with new_client(DownloadError, URL) as client:
        for url in EXEMPT[entries] + others:
            client.get(url)
    straight = [("ConnectionPool", url) for url in EXEMPT[entries]]
    assert asked == straight + [("HTTPProxy", url) for url in others]
