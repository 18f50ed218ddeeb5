"""`timeout` bounds a registry request as a whole, whatever the answer is like."""

from __future__ import annotations

import ssl
import threading
import time
from pathlib import Path

import pytest
import trustme
from dripping import WAYS, dripping

from runbook_lib.errors import RegistryUnreachableError
from runbook_lib.registry.client import RegistryClient

TIMEOUT = 0.6


@pytest.mark.parametrize("way", WAYS)
def test_an_answer_that_never_ends_is_left_in_time(way: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with (
        dripping(way, context) as host,
        RegistryClient(host, None, str(tmp_path / "ca.pem"), TIMEOUT) as client,
    ):
        for _ in range(2):  # the second with what the first has left behind
            begun = time.monotonic()
            with pytest.raises(RegistryUnreachableError, match=r"did not end within 0\.6 s") as caught:
                client.challenge()
            assert time.monotonic() - begun < TIMEOUT + 2
            assert caught.value.remedy
        time.sleep(0.3)  # the next piece has come
        assert [t for t in threading.enumerate() if t.name.startswith("GET ")] == []
