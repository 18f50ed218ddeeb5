"""The double's configuration: one JSON file, validated, frozen.

Example (paths absolute; every key not shown has the default given in the models below)::

    {"listen": [{"host": "10.244.0.1", "port": 5443}, {"host": "127.0.0.1", "port": 5443}],
     "tls_certificate_file": "/state/registry.crt", "tls_key_file": "/state/registry.key",
     "upstream": "http://127.0.0.1:5001",
     "signing_key_file": "/state/token.key", "signing_certificate_file": "/state/token.crt",
     "public_host": "10.244.0.1:5443",
     "users": [{"username": "sandboxns/jdoe", "auth_token_file": "/state/jdoe.token"},
               {"username": "sandboxns/seeder", "auth_token_file": "/state/seeder.token",
                "rights": {"pull": ["*"], "push": ["*"]}}],
     "admin": {"host": "127.0.0.1", "port": 5002}}

Patterns are shell patterns over the whole repository name, and `*` also matches `/`.
"""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from sandbox.double.errors import ConfigError, KeyMaterialError

# The realm's path in OCIR's challenge, as seen in public client code.
TOKEN_PATH = "/20180419/docker/token"  # noqa: S105 - a path
Port = Annotated[int, Field(ge=0, le=65535)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Address(_Frozen):
    """A TCP address; port 0 lets the system choose, which only makes sense for tests."""

    host: str = Field(min_length=1)
    port: Port


class AdminAddress(_Frozen):
    """Where the admin interface listens: a loopback TCP port, or a unix socket."""

    host: str = "127.0.0.1"
    port: Port | None = None
    socket: Path | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.port is None) == (self.socket is None):
            raise ValueError("give either 'port' or 'socket'")
        if self.host not in {"127.0.0.1", "::1", "localhost"}:
            raise ValueError("the admin interface has no login and listens on loopback only")
        return self


class Rights(_Frozen):
    """Repository patterns a user may pull from, push to and delete in; empty means none."""

    pull: tuple[str, ...] = ()
    push: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()


class User(_Frozen):
    """A login: `<namespace>/<user>` or `<namespace>/<domain>/<user>`, and the file that holds its auth token.

    The file is read at each login, so that a renewed token works without a restart. Without `rights` the user
    may do everything in the repositories of the own namespace. `can_create_repositories` stands for the
    permission REPOSITORY_MANAGE (Oracle, "Creating a Repository").
    """

    username: str
    auth_token_file: Path
    rights: Rights | None = None
    can_create_repositories: bool = True

    @field_validator("username")
    @classmethod
    def _form(cls, value: str) -> str:
        parts = value.split("/")
        if len(parts) not in {2, 3} or not all(parts):
            raise ValueError("expected <namespace>/<user> or <namespace>/<domain>/<user>")
        return value

    @property
    def namespace(self) -> str:
        """The Object Storage namespace, first part of the name and of the user's repositories."""
        return self.username.split("/", 1)[0]

    @cached_property
    def effective_rights(self) -> Rights:
        """The rights given, or all of the own namespace."""
        own = (f"{self.namespace}/*",)
        return self.rights if self.rights is not None else Rights(pull=own, push=own, delete=own)

    def auth_token(self) -> str:
        """The expected auth token; one newline at the end of the file is not part of it.

        Raises KeyMaterialError if the file cannot be read or is empty.
        """
        try:
            token = self.auth_token_file.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise KeyMaterialError(
                "the auth token file cannot be read",
                str(self.auth_token_file),
                "Write the token to it, mode 0600.",
            ) from error
        if not token:
            raise KeyMaterialError(
                "the auth token file is empty", str(self.auth_token_file), "Write the token to it."
            )
        return token


class Switches(_Frozen):
    """Behaviour that can be switched by config and, while running, through the admin interface.

    How sure each is: `no_catalog` and `refuse_delete_scope` appear in public client code (likely);
    `anonymous_token_on_bad_credentials` in credential-helper tests (likely); `anonymous_denied` is a message
    many users report (likely); `repository_must_exist` is Oracle's documentation (firm);
    `refuse_cache_manifests` is claimed by one runbook only, `refuse_attestations` by one project (unproven);
    `accept_oauth_post` is a choice: it is not known whether OCIR answers POST.
    """

    no_catalog: bool = True
    anonymous_token_on_bad_credentials: bool = True
    anonymous_denied: bool = True
    repository_must_exist: bool = False
    refuse_cache_manifests: bool = True
    refuse_attestations: bool = False
    refuse_delete_scope: bool = True
    accept_oauth_post: bool = True


class DoubleConfig(_Frozen):
    """Everything the double needs to run; it keeps no other state, so a restart resets it to this.

    `service` is the audience of the tokens that distribution checks; challenges name the host the client
    used, as OCIR's do. `token_lifetime` is in seconds. `upstream` is distribution's own plain HTTP address.
    """

    listen: tuple[Address, ...] = Field(min_length=1)
    tls_certificate_file: Path
    tls_key_file: Path
    upstream: str = Field(pattern=r"^http://[^/]+:\d+$")
    signing_key_file: Path
    signing_certificate_file: Path
    public_host: str = Field(min_length=1)
    service: str = "registry-double"
    issuer: str = "registry-double"
    users: tuple[User, ...] = ()
    anonymous_pull: tuple[str, ...] = ("library/*", "moby/*")
    repositories: tuple[str, ...] = ()
    switches: Switches = Switches()
    admin: AdminAddress
    token_lifetime: Annotated[int, Field(ge=1, le=86400)] = 300

    @field_validator("users")
    @classmethod
    def _unique(cls, value: tuple[User, ...]) -> tuple[User, ...]:
        names = [user.username for user in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"username given twice: {', '.join(twice)}")
        return value


def load_config(path: Path) -> DoubleConfig:
    """The validated configuration of a JSON file.

    Raises ConfigError that names the file and each key at fault, never a value.
    """
    try:
        return DoubleConfig.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(
            "the configuration cannot be read", f"{path}: {error.strerror}", "Check the path."
        ) from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'file'}: {item['msg']}"
            for item in error.errors(include_input=False)
        )
        raise ConfigError(
            "the configuration is not valid",
            f"{path}: {faults}",
            "See sandbox/double/config.py for the keys.",
        ) from None
