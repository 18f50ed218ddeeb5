"""The one error tree of the runbook, readable from here.

RunbookError
├── SettingsError           UnknownParameterError · InvalidParameterError · ProfileError
├── CredentialError         MissingCredentialError · MalformedCredentialError
├── ClusterError            ContextNotFoundError · ClusterUnreachableError · ClusterAuthError
│                           PermissionMissingError · NamespaceMissingError · ApplyRefusedError
│                           FieldConflictError · ImmutableDriftError · PodNotReadyError
│                           UpgradeFailedError · NotOursError · ClusterWaitError
│                           ObjectMissingError
├── RegistryError           ReferenceFormatError · DockerConfigError · HelperMissingError
│                           RegistryUnreachableError · RegistryTlsError · LoginRefusedError
│                           AnonymousTokenError · PushDeniedError · RegistryAnswerError
├── BuilderError            SourceError · DownloadError · ChecksumError · ArchiveError · BinaryError
│                           VersionSkewError · BuildFailedError · ConnectionLostError
│                           BuildTimeoutError · CacheRefusedError · PushNotProvenError
└── RunError                StepFailedError · StepCancelledError · BlockedError · JournalError
                            ResumeError

Every error says what happened, where (on which object) and the remedy; `notebook` names the
notebook that mends it, where there is one. The text of an error never holds a secret.
"""

from __future__ import annotations


class RunbookError(Exception):
    """Base of everything the runbook raises on purpose.

    `what` happened, `where` (the object it happened on), `remedy` (what the reader does next),
    `notebook` (file name of the notebook that mends it, or "").
    """

    def __init__(self, what: str, *, where: str = "", remedy: str = "", notebook: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy
        self.notebook = notebook

    def __str__(self) -> str:
        """Three short lines: what and where, the remedy, the notebook that mends it."""
        lines = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.remedy:
            lines.append(f"  remedy: {self.remedy}")
        if self.notebook:
            lines.append(f"  see: notebooks/{self.notebook}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the keyword fields when the error crosses a process boundary."""
        return (_rebuild, (type(self), self.what, self.where, self.remedy, self.notebook))


def _rebuild(cls: type[RunbookError], what: str, where: str, remedy: str, notebook: str) -> RunbookError:
    return cls(what, where=where, remedy=remedy, notebook=notebook)


# -- settings ---------------------------------------------------------------------------------
class SettingsError(RunbookError):
    """Something about the parameters, the profile file or the environment is wrong."""


class UnknownParameterError(SettingsError):
    """A parameter was given that no step knows; papermill alone would only warn."""


class InvalidParameterError(SettingsError):
    """A parameter has the wrong type, form or range."""


class ProfileError(SettingsError):
    """The YAML profile cannot be read or is not a mapping of parameters."""


# -- credentials ------------------------------------------------------------------------------
class CredentialError(RunbookError):
    """A credential reference cannot be used."""


class MissingCredentialError(CredentialError):
    """The variable, file, Secret or key a reference names is not there."""


class MalformedCredentialError(CredentialError):
    """The reference, or the value behind it, has a form that cannot work."""


# -- cluster ----------------------------------------------------------------------------------
class ClusterError(RunbookError):
    """Something between us and the Kubernetes API, or in the cluster."""


class ContextNotFoundError(ClusterError):
    """The kubeconfig is missing, malformed, or lacks the context."""


class ClusterUnreachableError(ClusterError):
    """The API server cannot be reached or its certificate does not verify."""


class ClusterAuthError(ClusterError):
    """The API server answered 401, or the kubeconfig's exec plugin failed."""


class PermissionMissingError(ClusterError):
    """The identity lacks a verb; the error names verb, resource and namespace."""


class NamespaceMissingError(ClusterError):
    """The target namespace does not exist."""


class ApplyRefusedError(ClusterError):
    """The API server refused an object: validation, admission, quota, Pod Security."""


class FieldConflictError(ClusterError):
    """Another field manager owns a field that the manifest sets."""


class ImmutableDriftError(ClusterError):
    """The live Pod differs in a field that cannot be changed in place."""


class PodNotReadyError(ClusterError):
    """The builder pod did not become ready; the diagnosis is in the message."""


class UpgradeFailedError(ClusterError):
    """The new image or mode did not become Ready; the error names it and what was gone back to."""


class NotOursError(ClusterError):
    """An object of this name exists but was not made by the runbook."""


class ObjectMissingError(ClusterError):
    """The API server answered 404 for one object: it is not there."""


class ClusterWaitError(ClusterError):
    """A bounded wait on the cluster ran out of time."""


# -- registry ---------------------------------------------------------------------------------
class RegistryError(RunbookError):
    """Something about a registry, its names, its login or its answers."""


class ReferenceFormatError(RegistryError):
    """A registry host, repository, tag or digest is not well formed."""


class DockerConfigError(RegistryError):
    """The docker config file is malformed, unreadable or cannot be replaced safely."""


class HelperMissingError(RegistryError):
    """The docker config names a credential helper that is not on PATH, or it failed."""


class RegistryUnreachableError(RegistryError):
    """No connection: name, route, port or time-out."""


class RegistryTlsError(RegistryError):
    """The registry's certificate does not verify."""


class LoginRefusedError(RegistryError):
    """The registry refused the credential."""


class AnonymousTokenError(LoginRefusedError):
    """HTTP 200, but the token is anonymous: the credential was not accepted."""


class PushDeniedError(RegistryError):
    """The login works, but the token does not carry push on the repository."""


class RegistryAnswerError(RegistryError):
    """The registry answered something unexpected; code and body are explained."""


# -- builder ----------------------------------------------------------------------------------
class BuilderError(RunbookError):
    """Something about buildctl, kubectl, the daemon or a build."""


class SourceError(BuilderError):
    """No source could provide the binary."""


class DownloadError(BuilderError):
    """A download failed, was truncated, or was not the file asked for."""


class ChecksumError(DownloadError):
    """The sha256 of a download is not the expected one."""


class ArchiveError(DownloadError):
    """A tarball is unsafe or lacks the named regular file."""


class BinaryError(BuilderError):
    """A binary is missing, not executable, for another platform, or fails to run."""


class VersionSkewError(BuilderError):
    """Client and daemon versions differ in a way that breaks builds."""


class BuildFailedError(BuilderError):
    """The build itself failed: a Dockerfile step, a missing file, a refused push."""


class ConnectionLostError(BuildFailedError):
    """The connection to the builder broke in mid-build; the builder keeps what was done already."""


class BuildTimeoutError(BuilderError):
    """The build passed its deadline or showed no progress for too long."""


class CacheRefusedError(BuilderError):
    """The cache guard refused a registry or inline cache export."""


class PushNotProvenError(BuilderError):
    """The build said success, but the registry does not serve what was built."""


# -- run --------------------------------------------------------------------------------------
class RunError(RunbookError):
    """Something about the headless run."""


class StepFailedError(RunError):
    """A step's notebook failed; the error names the step."""


class StepCancelledError(RunError):
    """The reader cancelled the step while it was at work."""


class BlockedError(RunError):
    """A check found something that must be mended before anything is changed."""


class JournalError(RunError):
    """The run journal cannot be read or written."""


class ResumeError(RunError):
    """There is nothing to resume, or it was run with other parameters."""
