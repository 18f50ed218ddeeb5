"""Where an instance keeps what: one folder, laid out the same for every instance."""

import re
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import PlatformError, UsageError
from sandbox.paths import state_root

# The pods' network, below `config`.
CNI_FILE = "cni/10-sandbox.conflist"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?")
# sockaddr_un holds 108 bytes with the final NUL (unix(7)); containerd makes `<socket>.ttrpc` too.
_LONGEST_SOCKET = 107


@dataclass(frozen=True)
class Layout:
    """The folders and files of one instance. `root` is its folder below the state root."""

    name: str
    root: Path

    @property
    def lock(self) -> Path:
        """Beside the folder, so that `reset` may remove the folder while it holds the lock."""
        return self.root.with_name(f".{self.name}.lock")

    @property
    def identity(self) -> Path:
        """The subnet and the ports, chosen once."""
        return self.root / "identity.json"

    @property
    def pki(self) -> Path:
        """Certificates and keys, mode 0600."""
        return self.root / "pki"

    @property
    def config(self) -> Path:
        """Rendered configuration files."""
        return self.root / "config"

    @property
    def secrets(self) -> Path:
        """Auth tokens of the registry's users, mode 0600."""
        return self.root / "secrets"

    @property
    def logs(self) -> Path:
        """One file a component, and the audit log."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Process records and sockets; worthless once the processes are gone."""
        return self.root / "run"

    @property
    def data(self) -> Path:
        """What the components keep: etcd, containerd, kubelet, registry storage."""
        return self.root / "data"

    @property
    def containerd_socket(self) -> Path:
        """The runtime's socket, which kubelet and the shims know."""
        return self.run / "containerd.sock"

    @property
    def containerd_state(self) -> Path:
        """Bundles, shim sockets and network namespaces of running containers."""
        return self.run / "containerd"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.root / "kubeconfig"

    @property
    def registry_ca(self) -> Path:
        """The certificate that signed the registry's (and every other) certificate."""
        return self.pki / "ca.crt"

    @property
    def audit_log(self) -> Path:
        """The API server's audit log, JSON lines."""
        return self.logs / "audit.log"

    @property
    def admin_token(self) -> Path:
        """The auth token of the registry's first user."""
        return self.secrets / "developer.token"

    @property
    def docker_config(self) -> Path:
        """A docker config folder for logins to this registry, so that the user's own stays as it is."""
        return self.root / "docker"

    def require_plain(self) -> None:
        """Raise PlatformError for a folder the kubelet would refuse; `down` may still have one to remove."""
        if not str(self.root).isascii():
            raise PlatformError(
                "the state folder's path has letters that are not ASCII, which the kubelet refuses",
                str(self.root),
                "Set SANDBOX_STATE to another folder.",
            )

    def prepare(self) -> None:
        """Create the folders. Every parent of the runtime's folders stays traversable for other users.

        runc enters them as a mapped user when a pod has its own user namespace.
        """
        for folder in (self.config, self.logs, self.run, self.data, self.containerd_state):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.root, self.run, self.data, self.containerd_state):
            folder.chmod(0o711)
        self.data.joinpath("containerd").mkdir(mode=0o711, exist_ok=True)
        for folder in (self.pki, self.secrets):
            folder.mkdir(mode=0o700, exist_ok=True)


def layout_for(name: str) -> Layout:
    """The layout of the instance `name`. Raises UsageError or PlatformError for names that cannot work."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            "not an instance name", repr(name), "Use up to 20 lower-case letters, digits and inner hyphens."
        )
    # Resolved: mounts and programs name the folder by its real path, and are found again by it.
    layout = Layout(name, (state_root() / name).resolve())
    longest = f"{layout.containerd_socket}.ttrpc"
    if len(longest.encode()) > _LONGEST_SOCKET:
        raise PlatformError(
            f"the state folder's path is too long for a unix socket ({_LONGEST_SOCKET} bytes)",
            longest,
            "Set SANDBOX_STATE to a shorter folder.",
        )
    return layout


def existing_instances() -> list[str]:
    """The names of all instances that have state, sorted; a copy of a folder under no such name is none."""
    names = sorted(path.parent.name for path in state_root().glob("*/identity.json"))
    return [name for name in names if _NAME.fullmatch(name)]
