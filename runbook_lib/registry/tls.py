"""Trust in a registry's certificate, and why a handshake failed."""

from __future__ import annotations

import ssl
from pathlib import Path

from runbook_lib.errors import RegistryTlsError
from runbook_lib.web_client import default_trust


def trust(host: str, ca: str) -> ssl.SSLContext:
    """TLS settings for `host` that trust the usual CAs and, where given, those in the PEM file `ca`.

    Raises:
        RegistryTlsError: the file, or one of a variable such as SSL_CERT_FILE, cannot be read or holds no
            certificate.
    """
    context = default_trust(RegistryTlsError, host)
    context.load_default_certs()
    if ca:
        try:
            context.load_verify_locations(str(Path(ca).expanduser()))
        except (OSError, ssl.SSLError) as e:
            reason = "it holds no PEM certificate" if isinstance(e, ssl.SSLError) else e.strerror
            raise RegistryTlsError(
                f"the CA file cannot be used: {reason}",
                where=ca,
                remedy="give the PEM file of the CA that signed the registry's certificate (registry_ca)",
            ) from e
    return context


def tls_error(host: str, error: ssl.SSLError) -> RegistryTlsError:
    """Explain why the certificate or the handshake failed (X509_V_ERR_* of OpenSSL's verify codes)."""
    code = getattr(error, "verify_code", 0)
    if "WRONG_VERSION_NUMBER" in (error.reason or "") or "HTTP_REQUEST" in (error.reason or ""):
        return RegistryTlsError(
            "it speaks plain HTTP there, not TLS: a login would go in clear, so none is sent",
            where=host,
            remedy="give the port of its TLS listener, or set TLS up on the registry",
        )
    reason = str(getattr(error, "verify_message", "") or error.reason or error)
    what, remedy = {
        9: ("its certificate is not valid yet", "check this machine's clock"),
        10: (
            "its certificate has expired",
            "the registry's operator must renew it; check this machine's clock",
        ),
        18: ("its certificate is signed by itself", "give that certificate as a PEM file in registry_ca"),
        62: ("its certificate is for another host name", "use a name that the certificate carries"),
        64: ("its certificate is not for this address", "use a name or address that the certificate carries"),
    }.get(
        code,
        (
            f"its certificate does not verify: {reason}",
            "give the PEM file of the CA that signed it in registry_ca; behind a proxy that opens TLS, the"
            " proxy's CA",
        ),
    )
    if not code:
        what = f"the TLS handshake failed: {reason}"
        remedy = "check the port; a registry that speaks plain HTTP cannot be used with a login"
    return RegistryTlsError(what, where=host, remedy=remedy)
