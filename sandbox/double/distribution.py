"""The configuration file of the `distribution` registry behind the front.

Keys after distribution v3.1.2, configuration/configuration.go. `http.host` stays unset, so that distribution
builds Location headers from the Host and X-Forwarded-Proto headers the front passes on: right everywhere.
"""

import argparse
import hashlib
import hmac
import sys
from pathlib import Path

import yaml

from sandbox.double.config import TOKEN_PATH, DoubleConfig, load_config
from sandbox.double.errors import DoubleError, KeyMaterialError
from sandbox.double.files import replace_file

# Without it distribution tries to send traces to localhost:4318 and logs a failure for each batch.
DISTRIBUTION_ENVIRONMENT = {"OTEL_TRACES_EXPORTER": "none"}


def render_distribution_config(config: DoubleConfig, storage: Path) -> str:
    """The YAML text for distribution, with blobs below `storage` and the address of `config.upstream`.

    It holds the secret that signs upload sessions, derived from the signing key so that uploads survive a
    restart: keep the file at mode 0600. Raises KeyMaterialError if the signing key cannot be read.
    """
    return yaml.safe_dump(
        {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(storage)},
                "delete": {"enabled": True},
                "cache": {"blobdescriptor": "inmemory"},
                "redirect": {"disable": True},
            },
            "http": {
                "addr": config.upstream.removeprefix("http://"),
                "secret": _upload_secret(config),
                "headers": {"X-Content-Type-Options": ["nosniff"]},
            },
            "auth": {
                "token": {
                    "realm": f"https://{config.public_host}{TOKEN_PATH}",
                    "service": config.service,
                    "issuer": config.issuer,
                    "rootcertbundle": str(config.signing_certificate_file),
                }
            },
        },
        sort_keys=False,
    )


def write_distribution_config(config: DoubleConfig, storage: Path, output: Path) -> None:
    """Write the rendered configuration to `output`, mode 0600, in one step."""
    replace_file(output, render_distribution_config(config, storage).encode())


def _upload_secret(config: DoubleConfig) -> str:
    try:
        key = config.signing_key_file.read_bytes()
    except OSError as error:
        raise KeyMaterialError(
            "the signing key cannot be read",
            str(config.signing_key_file),
            "Create it with `python -m sandbox.double.keys --directory DIR`.",
        ) from error
    return hmac.new(key, b"distribution upload sessions", hashlib.sha256).hexdigest()


def main(arguments: list[str] | None = None) -> int:
    """Write distribution's configuration file; 1 when that fails."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.double.distribution", description=main.__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the double's configuration file")
    parser.add_argument("--storage", type=Path, required=True, help="the folder for blobs and manifests")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        write_distribution_config(load_config(options.config), options.storage, options.output)
    except (DoubleError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
