"""The double's errors: what happened, on which object, and the remedy."""


class DoubleError(Exception):
    """Base of every error the double raises on purpose.

    `what` says what happened, `where` names the object (a file, an address, a fault), `remedy` the way out.
    """

    def __init__(self, what: str, where: str, remedy: str) -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__(f"{what}: {where}. {remedy}")


class ConfigError(DoubleError):
    """The configuration file cannot be read or does not fit the model."""


class KeyMaterialError(DoubleError):
    """A signing key, certificate or TLS file is missing or unusable."""


class ListenError(DoubleError):
    """An address could not be bound."""


class AdminError(DoubleError):
    """The admin interface refused a request or could not be reached."""
