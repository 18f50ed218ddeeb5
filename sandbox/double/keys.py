"""The token signing key: an Ed25519 key and a self-signed certificate that distribution takes as its root.

Ed25519 rather than P-256, because distribution 3.1.2 strips leading zeros of elliptic coordinates before it
hashes them into a key id (registry/auth/token/util.go), so that one P-256 key in 128 would never be found.
"""

import argparse
import base64
import datetime
import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from sandbox.double.errors import DoubleError, KeyMaterialError
from sandbox.double.files import replace_file

_VALIDITY = datetime.timedelta(days=3650)


@dataclass(frozen=True)
class SigningFiles:
    """Where the key (PKCS#8 PEM, mode 0600) and its certificate (PEM) lie."""

    key: Path
    certificate: Path


def ensure_signing_files(directory: Path) -> SigningFiles:
    """The signing key and certificate in `directory`, created when either is missing or they do not match."""
    files = SigningFiles(directory / "token.key", directory / "token.crt")
    try:
        load_signing_key(files.key, files.certificate)
    except KeyMaterialError:
        key = Ed25519PrivateKey.generate()
        replace_file(files.key, _private_pem(key))
        replace_file(files.certificate, _certificate_pem(key), mode=0o644)
    return files


def load_signing_key(key_file: Path, certificate_file: Path) -> Ed25519PrivateKey:
    """The private key, after a check that the certificate carries its public half.

    Raises KeyMaterialError if a file is missing, is no Ed25519 key, or the two do not belong together.
    """
    remedy = "Create both with `python -m sandbox.double.keys --directory DIR`."
    try:
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise KeyMaterialError(
            "the signing files cannot be read", f"{key_file}, {certificate_file}", remedy
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyMaterialError("the signing key is not Ed25519", str(key_file), remedy)
    if certificate.public_key() != key.public_key():
        raise KeyMaterialError("the certificate is not of this key", str(certificate_file), remedy)
    return key


def key_id(key: Ed25519PrivateKey) -> str:
    """The RFC 7638 thumbprint, by which distribution finds the certificate's key (RFC 8037 for Ed25519)."""
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    point = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    document = f'{{"crv":"Ed25519","kty":"OKP","x":"{point}"}}'
    return base64.urlsafe_b64encode(hashlib.sha256(document.encode()).digest()).rstrip(b"=").decode()


def _private_pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _certificate_pem(key: Ed25519PrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry double token signing")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + _VALIDITY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, None)
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def main(arguments: list[str] | None = None) -> int:
    """Create the files and print where they lie; 1 when that fails."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.double.keys", description=main.__doc__)
    parser.add_argument("--directory", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        files = ensure_signing_files(options.directory)
    except (DoubleError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{files.key}\n{files.certificate}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
