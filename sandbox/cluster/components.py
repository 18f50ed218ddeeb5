"""How each component is started. Order matters: it is the order of start, and reversed that of stop."""

import hashlib
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from sandbox.cluster.identity import Identity
from sandbox.cluster.layout import Layout
from sandbox.cluster.processes import Command
from sandbox.double.distribution import DISTRIBUTION_ENVIRONMENT

SERVICE_RANGE = "10.96.0.0/24"
COMPONENTS = (
    "etcd",
    "containerd",
    "distribution",
    "registry",
    "apiserver",
    "controller-manager",
    "scheduler",
    "kubelet",
)
# A sandbox has little garbage: a collector that runs early costs little time and saves a third of the memory.
_GO_MEMORY = {"GOGC": "50"}
_PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Parts:
    """What the command lines are made of: the instance, its identity, the node's name and the programs."""

    layout: Layout
    identity: Identity
    node: str
    programs: dict[str, Path]

    def local(self, port: str) -> str:
        """The loopback URL of one of the instance's plain HTTP ports."""
        return f"http://127.0.0.1:{self.identity.ports[port]}"

    def key(self, name: str) -> str:
        """A file of the PKI folder."""
        return str(self.layout.pki / name)

    def file(self, name: str) -> str:
        """A file of the configuration folder."""
        return str(self.layout.config / name)


def commands(parts: Parts) -> dict[str, Command]:
    """The command of every component, by name, in the order of start."""
    return {name: _command(parts, name, *_TABLE[name](parts)) for name in COMPONENTS}


def _command(parts: Parts, name: str, arguments: list[str], files: Iterable[str]) -> Command:
    environment = _environment(parts) | (_PYTHON if name == "registry" else {})
    digest = hashlib.sha256(repr((arguments, sorted(environment.items()))).encode())
    for file in files:
        digest.update(Path(file).read_bytes())
    log = parts.layout.logs / f"{name}.log"
    return Command(name, tuple(arguments), environment, digest.hexdigest()[:16], log)


def _environment(parts: Parts) -> dict[str, str]:
    """A small one of its own: proxy settings of the caller would send traffic for the bridge astray."""
    shim = parts.programs["containerd-shim-runc-v2"].parent
    system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": f"{shim}:{system}", "HOME": "/root", **_GO_MEMORY, **DISTRIBUTION_ENVIRONMENT}


_PYTHON = {"PYTHONPATH": str(_PROJECT), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
_Built = tuple[list[str], list[str]]


def _etcd(parts: Parts) -> _Built:
    peer, client = parts.local("etcd-peer"), parts.local("etcd")
    return [
        str(parts.programs["etcd"]),
        "--name=sandbox",
        f"--data-dir={parts.layout.data / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=sandbox={peer}",
        # A killed process loses nothing by it, only a crashed machine does.
        "--unsafe-no-fsync",
        "--snapshot-count=5000",
        "--log-level=warn",
    ], []


def _containerd(parts: Parts) -> _Built:
    config = parts.file("containerd.toml")
    return [str(parts.programs["containerd"]), "--config", config], [config]


def _distribution(parts: Parts) -> _Built:
    config = parts.file("distribution.yml")
    return [str(parts.programs["registry"]), "serve", config], [config]


def _registry(parts: Parts) -> _Built:
    config = parts.file("double.json")
    files = [config, parts.key("registry.crt"), parts.key("token.crt")]
    return [sys.executable, "-m", "sandbox.double", "--config", config], files


def _apiserver(parts: Parts) -> _Built:
    key, audit = parts.key, parts.file("audit-policy.yaml")
    return [
        str(parts.programs["kube-apiserver"]),
        "--bind-address=127.0.0.1",
        f"--secure-port={parts.identity.ports['apiserver']}",
        f"--advertise-address={parts.identity.address}",
        f"--etcd-servers={parts.local('etcd')}",
        "--endpoint-reconciler-type=none",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        f"--client-ca-file={key('ca.crt')}",
        f"--tls-cert-file={key('apiserver.crt')}",
        f"--tls-private-key-file={key('apiserver.key')}",
        f"--kubelet-certificate-authority={key('ca.crt')}",
        f"--kubelet-client-certificate={key('apiserver-kubelet.crt')}",
        f"--kubelet-client-key={key('apiserver-kubelet.key')}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-key-file={key('service-accounts.key')}",
        f"--service-account-signing-key-file={key('service-accounts.key')}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--audit-policy-file={audit}",
        f"--audit-log-path={parts.layout.audit_log}",
        "--audit-log-maxsize=20",
        "--audit-log-maxbackup=2",
        "--profiling=false",
    ], [audit, key("ca.crt"), key("apiserver.crt"), key("apiserver-kubelet.crt")]


def _controller_manager(parts: Parts) -> _Built:
    kubeconfig, key = parts.file("controller-manager.kubeconfig"), parts.key
    return [
        str(parts.programs["kube-controller-manager"]),
        f"--kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--secure-port={parts.identity.ports['controller-manager']}",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={key('service-accounts.key')}",
        f"--root-ca-file={key('ca.crt')}",
        f"--cluster-signing-cert-file={key('ca.crt')}",
        f"--cluster-signing-key-file={key('ca.key')}",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--profiling=false",
    ], [kubeconfig]


def _scheduler(parts: Parts) -> _Built:
    kubeconfig = parts.file("scheduler.kubeconfig")
    return [
        str(parts.programs["kube-scheduler"]),
        f"--kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--secure-port={parts.identity.ports['scheduler']}",
        "--leader-elect=false",
        "--profiling=false",
    ], [kubeconfig]


def _kubelet(parts: Parts) -> _Built:
    config, kubeconfig = parts.file("kubelet.yaml"), parts.file("kubelet.kubeconfig")
    root = parts.layout.data / "kubelet"
    return [
        str(parts.programs["kubelet"]),
        f"--config={config}",
        f"--kubeconfig={kubeconfig}",
        f"--hostname-override={parts.node}",
        f"--node-ip={parts.identity.address}",
        f"--root-dir={root}",
        f"--cert-dir={root / 'pki'}",
    ], [config, kubeconfig, parts.key("kubelet-serving.crt")]


_TABLE: dict[str, Callable[[Parts], _Built]] = {
    "etcd": _etcd,
    "containerd": _containerd,
    "distribution": _distribution,
    "registry": _registry,
    "apiserver": _apiserver,
    "controller-manager": _controller_manager,
    "scheduler": _scheduler,
    "kubelet": _kubelet,
}
