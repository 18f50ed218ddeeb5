"""The certificates that a kubeconfig carries, looked at before they are used.

The API server answers an expired client certificate with a bare 401, and a file that is no PEM with a
broken handshake; here the reader is told which of them it is.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from kubernetes import client

from runbook_lib.errors import ClusterAuthError, ContextNotFoundError

_REMEDY = "write the kubeconfig of this cluster anew"


def require_usable(conf: client.Configuration, context: str) -> None:
    """Refuse certificates that cannot work; a context without any passes.

    Raises:
        ContextNotFoundError: the authority, the client certificate or its key is no PEM.
        ClusterAuthError: the client certificate has expired or is not yet valid.
    """
    where = f"context {context}"
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if conf.ssl_ca_cert:
            trust.load_verify_locations(conf.ssl_ca_cert)
    except (ssl.SSLError, OSError):
        raise ContextNotFoundError(
            "its certificate-authority is not a PEM certificate", where=where, remedy=_REMEDY
        ) from None
    if not conf.cert_file:
        return
    try:
        trust.load_cert_chain(conf.cert_file, conf.key_file)
        certificate = x509.load_pem_x509_certificates(Path(conf.cert_file).read_bytes())[0]
    except (ssl.SSLError, OSError, ValueError, IndexError):
        raise ContextNotFoundError(
            "its client certificate and key are not a PEM pair", where=where, remedy=_REMEDY
        ) from None
    now = datetime.now(UTC)
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begin <= now <= end:
        state = "expired on" if now > end else "is not valid before"
        moment = end if now > end else begin
        raise ClusterAuthError(
            f"the client certificate {state} {moment:%Y-%m-%d %H:%M} UTC",
            where=where,
            remedy="have a new client certificate issued, or check this machine's clock",
        )
