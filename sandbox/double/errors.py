"""The double's errors, leaves of the sandbox's tree: what happened, on which object, and the remedy.

SandboxError
└── DoubleError
    ├── ConfigError        the configuration file cannot be read or does not fit the model
    ├── KeyMaterialError   a signing key, certificate, TLS file or auth token is missing or unusable
    ├── ListenError        an address could not be bound
    └── AdminError         the admin interface refused a request or could not be reached
"""

from sandbox.errors import SandboxError


class DoubleError(SandboxError):
    """Base of every error the double raises on purpose."""


class ConfigError(DoubleError):
    """The configuration file cannot be read or does not fit the model."""


class KeyMaterialError(DoubleError):
    """A signing key, certificate, TLS file or auth token is missing or unusable."""


class ListenError(DoubleError):
    """An address could not be bound."""


class AdminError(DoubleError):
    """The admin interface refused a request or could not be reached."""
