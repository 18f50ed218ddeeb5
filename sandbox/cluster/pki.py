"""The instance's certificates: one authority, re-issued with everything below it well before it expires."""

import datetime
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.double.files import replace_file

_CA_DAYS, _LEAF_DAYS = 3650, 730
_RENEW_BEFORE = datetime.timedelta(days=30)


@dataclass(frozen=True)
class Subject:
    """A certificate to issue: file stem, common name, organisations (groups), and names it serves."""

    stem: str
    common_name: str
    groups: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files (PEM)."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class _Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def subjects(node: str, address: str) -> tuple[Subject, ...]:
    """Every certificate of an instance whose node is called `node` and has the bridge address `address`.

    Names and groups are those that Kubernetes' RBAC defaults know ("Using RBAC Authorization").
    """
    service = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "10.96.0.1")
    local = ("localhost", "127.0.0.1", address)
    return (
        Subject("apiserver", "kube-apiserver", hosts=(*local, *service)),
        Subject("apiserver-kubelet", "kube-apiserver-kubelet-client", ("system:masters",)),
        Subject("admin", "sandbox-admin", ("system:masters",)),
        Subject("controller-manager", "system:kube-controller-manager"),
        Subject("scheduler", "system:kube-scheduler"),
        Subject("kubelet", f"system:node:{node}", ("system:nodes",)),
        Subject("kubelet-serving", node, hosts=(node, *local)),
        Subject("registry", "sandbox-registry", hosts=local),
    )


def pair(directory: Path, stem: str) -> Pair:
    """Where a certificate and its key lie."""
    return Pair(directory / f"{stem}.crt", directory / f"{stem}.key")


def ensure_pki(directory: Path, wanted: Iterable[Subject]) -> list[str]:
    """Make `directory` hold valid certificates for all subjects; returns the stems that were (re-)issued."""
    issued: list[str] = []
    authority = _load_authority(pair(directory, "ca"))
    if authority is None:
        authority = _new_authority(pair(directory, "ca"))
        issued.append("ca")
    for subject in wanted:
        files = pair(directory, subject.stem)
        if not _is_good(files, subject, authority):
            _issue(files, subject, authority)
            issued.append(subject.stem)
    service_accounts = directory / "service-accounts.key"
    if not service_accounts.exists():
        _write_key(service_accounts, ec.generate_private_key(ec.SECP256R1()))
        issued.append("service-accounts")
    return issued


def _load_authority(files: Pair) -> _Authority | None:
    try:
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        key = serialization.load_pem_private_key(files.key.read_bytes(), password=None)
    except (OSError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.public_key() != key.public_key():
        return None
    return None if _expires_soon(certificate) else _Authority(certificate, key)


def _new_authority(files: Pair) -> _Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sandbox-ca")])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(name, name, key.public_key(), _CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_key(files.key, key)
    replace_file(files.certificate, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
    return _Authority(certificate, key)


def _issue(files: Pair, subject: Subject, authority: _Authority) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in subject.groups]
    name = x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, subject.common_name)])
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if subject.hosts else [])]
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = (
        _builder(name, authority.certificate.subject, key.public_key(), _LEAF_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(issuer_key, critical=False)
    )
    if subject.hosts:
        names = x509.SubjectAlternativeName([_general_name(host) for host in subject.hosts])
        builder = builder.add_extension(names, critical=False)
    _write_key(files.key, key)
    certificate = builder.sign(authority.key, hashes.SHA256())
    replace_file(files.certificate, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)


def _is_good(files: Pair, subject: Subject, authority: _Authority) -> bool:
    """Whether a certificate is still what would be issued: signer, names, key and time left."""
    try:
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        key = serialization.load_pem_private_key(files.key.read_bytes(), password=None)
        certificate.verify_directly_issued_by(authority.certificate)
    except (OSError, ValueError, TypeError, InvalidSignature):
        return False
    return (
        certificate.public_key() == key.public_key()
        and not _expires_soon(certificate)
        and _hosts(certificate) == {_general_name(host).value for host in subject.hosts}
    )


def _hosts(certificate: x509.Certificate) -> set[object]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {name.value for name in names}


def _general_name(host: str) -> x509.DNSName | x509.IPAddress:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _expires_soon(certificate: x509.Certificate) -> bool:
    return certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC) < _RENEW_BEFORE


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # An hour back, for clients whose clock is behind.
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    # SEC 1 rather than PKCS #8: the API server takes public keys for ServiceAccounts from this form only.
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    replace_file(path, pem)
