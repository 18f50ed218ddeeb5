"""The instance's registry: distribution behind the double, its users and their auth tokens."""

import secrets
from pathlib import Path

from sandbox.cluster.identity import Identity
from sandbox.cluster.layout import Layout
from sandbox.cluster.pki import pair
from sandbox.double.config import Address, AdminAddress, DoubleConfig, Rights, User
from sandbox.double.distribution import write_distribution_config
from sandbox.double.files import replace_file
from sandbox.double.keys import ensure_signing_files

NAMESPACE = "sandboxns"
USERNAME = f"{NAMESPACE}/developer"
# The second is a login of an identity domain; the third may only look.
_USERS = {
    USERNAME: "developer",
    f"{NAMESPACE}/oracleidentitycloudservice/jdoe@acme.com": "jdoe",
    f"{NAMESPACE}/viewer": "viewer",
}
_READ_ONLY = frozenset({f"{NAMESPACE}/viewer"})


def registry_storage(layout: Layout) -> Path:
    """The root folder of distribution's filesystem driver."""
    return layout.data / "registry"


def write_registry_config(layout: Layout, identity: Identity) -> tuple[Path, Path]:
    """Write the configuration files of the double and of distribution, in that order, and all they name."""
    tokens = {username: layout.secrets / f"{stem}.token" for username, stem in _USERS.items()}
    for path in tokens.values():
        if not path.exists():
            replace_file(path, f"{secrets.token_urlsafe(24)}\n".encode())
    signing = ensure_signing_files(layout.pki)
    serving = pair(layout.pki, "registry")
    look = Rights(pull=(f"{NAMESPACE}/*",))
    port = identity.ports["registry"]
    config = DoubleConfig(
        listen=(Address(host=identity.address, port=port), Address(host="127.0.0.1", port=port)),
        tls_certificate_file=serving.certificate,
        tls_key_file=serving.key,
        upstream=f"http://127.0.0.1:{identity.ports['registry-upstream']}",
        signing_key_file=signing.key,
        signing_certificate_file=signing.certificate,
        public_host=identity.registry,
        users=tuple(
            User(username=name, auth_token_file=path, rights=look if name in _READ_ONLY else None)
            for name, path in tokens.items()
        ),
        admin=AdminAddress(port=identity.ports["registry-admin"]),
    )
    double, distribution = layout.config / "double.json", layout.config / "distribution.yml"
    replace_file(double, config.model_dump_json(indent=1).encode())
    write_distribution_config(config, registry_storage(layout), distribution)
    return double, distribution
