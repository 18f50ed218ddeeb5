"""An instance made ready on disk: identity, certificates, configuration files, images in its registry."""

from dataclasses import dataclass
from pathlib import Path

from sandbox.build import ensure_tools
from sandbox.build.debian import ensure_packages
from sandbox.cluster.components import Parts
from sandbox.cluster.host import HostFacts, detect_host
from sandbox.cluster.identity import Identity, choose_identity, load_identity, taken_ports
from sandbox.cluster.kubeconfig import write_kubeconfig
from sandbox.cluster.layout import CNI_FILE, Layout
from sandbox.cluster.pki import ensure_pki, pair, subjects
from sandbox.cluster.processes import find_daemons
from sandbox.cluster.registry import registry_storage, write_registry_config
from sandbox.cluster.render import (
    render_audit_policy,
    render_cni,
    render_containerd,
    render_kubelet,
    render_registry_hosts,
)
from sandbox.console import Reporter
from sandbox.double.files import replace_file
from sandbox.images.assemble import ensure_images, seed_storage
from sandbox.paths import cache_root

_PACKAGES = ("iproute2",)
_CLIENTS = ("controller-manager", "scheduler", "kubelet")


@dataclass(frozen=True)
class Names:
    """What the instance is called inside Kubernetes."""

    node: str
    context: str


def names_of(layout: Layout) -> Names:
    """The node's name and the kubeconfig context's: both `sandbox-<instance>`."""
    return Names(f"sandbox-{layout.name}", f"sandbox-{layout.name}")


def prepare(layout: Layout, reporter: Reporter, binaries: str | None) -> Parts:
    """Everything on disk that the components need; writes nothing new when it is all there."""
    ensure_packages(_PACKAGES, "the sandbox's network", reporter)
    programs = ensure_tools(reporter=reporter, binaries=binaries)
    images = ensure_images(cache_root(), programs, reporter)
    layout.root.mkdir(parents=True, exist_ok=True)
    identity = _identity(layout, reporter)
    layout.prepare()
    node = names_of(layout).node
    ensure_pki(layout.pki, subjects(node, identity.address))
    _write_configs(layout, identity, detect_host(layout.root), programs)
    _write_kubeconfigs(layout, identity)
    write_registry_config(layout, identity)
    seed_storage(images, registry_storage(layout))
    return Parts(layout, identity, node, programs)


def _identity(layout: Layout, reporter: Reporter) -> Identity:
    """The kept identity, or a new choice of ports when another program took one while nothing ran here."""
    identity = load_identity(layout)
    if identity is None:
        return choose_identity(layout, reporter)
    if not find_daemons(layout.root):
        taken = taken_ports(identity)
        if taken:
            reporter.line(f"ports taken by other programs: {', '.join(map(str, taken))}; choosing anew")
            return choose_identity(layout, reporter)
    return identity


def _write_configs(layout: Layout, identity: Identity, facts: HostFacts, programs: dict[str, Path]) -> None:
    authority = layout.registry_ca
    hosts = render_registry_hosts(identity, authority)
    files = {
        "containerd.toml": render_containerd(layout, facts, programs["runc"], programs["bridge"].parent),
        "certs.d/docker.io/hosts.toml": hosts,
        f"certs.d/{identity.registry}/hosts.toml": hosts,
        CNI_FILE: render_cni(identity, facts, layout.run / "cni"),
        "kubelet.yaml": render_kubelet(layout, identity, facts),
        "audit-policy.yaml": render_audit_policy(),
    }
    for name, text in files.items():
        replace_file(layout.config / name, text.encode(), mode=0o644)


def _write_kubeconfigs(layout: Layout, identity: Identity) -> None:
    server = f"https://127.0.0.1:{identity.ports['apiserver']}"
    context = names_of(layout).context
    write_kubeconfig(layout.kubeconfig, server, layout.registry_ca, pair(layout.pki, "admin"), context)
    for client in _CLIENTS:
        path = layout.config / f"{client}.kubeconfig"
        write_kubeconfig(path, server, layout.registry_ca, pair(layout.pki, client), client)
