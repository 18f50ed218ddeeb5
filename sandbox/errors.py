"""The sandbox's errors. Each says what happened, on which object, and the way out.

SandboxError
├── UsageError             a name or an option that cannot be right (exit code 2)
├── PlatformError          the host cannot run a cluster (not Linux, not root, no apt, paths too long)
├── MissingPackagesError   system packages are missing and could not be installed
├── BuildError             a program could not be built, fetched or trusted
├── ReleaseError           an official release download failed or does not match its published digest
├── BusyError              another command holds the instance or the build cache
├── StateError             the instance's state folder does not hold what it should
├── ProcessError           a component could not be started or ended at once
├── WaitTimeoutError       a bounded wait ran out
├── LeftoverError          `down` could not remove everything
└── RefusedError           the system refused a file or a folder (no space left, no permission, …)
"""


class SandboxError(Exception):
    """Base of every error the sandbox raises on purpose.

    `what` says what happened, `where` names the object, `remedy` the way out. The message is all three.
    """

    exit_code = 1

    def __init__(self, what: str, where: str, remedy: str) -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__(f"{what}: {where}\n  remedy: {remedy}")


class UsageError(SandboxError):
    """A name or an option that cannot be right."""

    exit_code = 2


class PlatformError(SandboxError):
    """The host cannot run a cluster."""


class MissingPackagesError(SandboxError):
    """System packages are missing and could not be installed."""


class BuildError(SandboxError):
    """A program could not be built, fetched or trusted."""


class ReleaseError(SandboxError):
    """An official release download failed or does not match its published digest."""


class BusyError(SandboxError):
    """Another command holds the instance or the build cache."""


class StateError(SandboxError):
    """The instance's state folder does not hold what it should."""


class ProcessError(SandboxError):
    """A component could not be started or ended at once."""


class WaitTimeoutError(SandboxError):
    """A bounded wait ran out; `where` names what was waited for."""


class LeftoverError(SandboxError):
    """`down` could not remove everything."""


class RefusedError(SandboxError):
    """The system refused a file or a folder: no space left, no permission, …"""

    @classmethod
    def by(cls, error: OSError) -> "RefusedError":
        """The error that an OSError is told as, where nothing more is known about it."""
        return cls(
            f"the system refused: {error.strerror or error}",
            str(error.filename or type(error).__name__),
            "Mend it (space, permissions) and try again; SANDBOX_STATE and SANDBOX_CACHE name other folders.",
        )
