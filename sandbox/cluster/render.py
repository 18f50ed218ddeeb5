"""The components' configuration files, as pure functions of the identity and the host's facts."""

import json
from pathlib import Path
from typing import Any

import yaml

from sandbox.cluster.host import HostFacts
from sandbox.cluster.identity import Identity
from sandbox.cluster.layout import Layout

PAUSE_IMAGE = "docker.io/library/pause:sandbox"


def _quoted(text: str) -> str:
    """A TOML basic string: a JSON one, but for JSON's pairs of escapes for characters beyond 16 bits."""
    return json.dumps(text, ensure_ascii=False)


def render_containerd(layout: Layout, facts: HostFacts, runc: Path, cni_programs: Path) -> str:
    """containerd 2's configuration (version 3 of its format)."""
    cri = 'plugins."io.containerd.cri.v1'
    return f"""\
version = 3
root = {_quoted(str(layout.data / "containerd"))}
state = {_quoted(str(layout.containerd_state))}
# The first three need devices or kernel modules that a sandbox host may lack; NRI's socket path is global.
disabled_plugins = [
  "io.containerd.snapshotter.v1.blockfile",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.nri.v1.nri",
]
[grpc]
address = {_quoted(str(layout.containerd_socket))}
[ttrpc]
address = {_quoted(f"{layout.containerd_socket}.ttrpc")}
[plugins."io.containerd.internal.v1.opt"]
path = {_quoted(str(layout.data / "opt"))}
[{cri}.images"]
snapshotter = {_quoted(facts.snapshotter)}
[{cri}.images".pinned_images]
sandbox = {_quoted(PAUSE_IMAGE)}
[{cri}.images".registry]
config_path = {_quoted(str(layout.config / "certs.d"))}
[{cri}.runtime"]
restrict_oom_score_adj = {"false" if facts.can_raise_limits else "true"}
netns_mounts_under_state_dir = true
[{cri}.runtime".containerd]
default_runtime_name = "runc"
[{cri}.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[{cri}.runtime".containerd.runtimes.runc.options]
BinaryName = {_quoted(str(runc))}
SystemdCgroup = false
[{cri}.runtime".cni]
bin_dirs = [{_quoted(str(cni_programs))}]
conf_dir = {_quoted(str(layout.config / "cni"))}
"""


def render_registry_hosts(identity: Identity, authority: Path) -> str:
    """containerd's hosts.toml that sends a registry's name to the sandbox's own registry.

    It is the `server` as well: the fallback to the real registry could only time out in a sandbox without
    internet, and would make pulls differ from host to host.
    """
    url = f"https://{identity.registry}"
    return (
        f'server = "{url}"\nca = {_quoted(str(authority))}\n'
        f'[host."{url}"]\ncapabilities = ["pull", "resolve"]\nca = {_quoted(str(authority))}\n'
    )


def render_cni(identity: Identity, facts: HostFacts, leases: Path) -> str:
    """The pods' network: a bridge, no masquerading (the sandbox is offline, and it would need iptables)."""
    bridge: dict[str, Any] = {
        "type": "bridge",
        "bridge": identity.bridge,
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": identity.subnet}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(leases),
        },
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    # portmap asks for iptables even for a pod that maps no port.
    plugins = [bridge, portmap] if facts.has_iptables else [bridge]
    return json.dumps({"cniVersion": "1.0.0", "name": identity.bridge, "plugins": plugins}, indent=1)


def render_kubelet(layout: Layout, identity: Identity, facts: HostFacts) -> str:
    """kubelet's configuration, for cgroup v1 and v2 alike, with or without CAP_SYS_RESOURCE."""
    pki = layout.pki
    settings: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": identity.address,
        "port": identity.ports["kubelet"],
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": identity.ports["kubelet-healthz"],
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki / "kubelet-serving.crt"),
        "tlsPrivateKeyFile": str(pki / "kubelet-serving.key"),
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "podLogsDir": str(layout.data / "pod-logs"),
        "volumePluginDir": str(layout.data / "volume-plugins"),
        # Nobody serves DNS there, so that a lookup is refused at once instead of timing out; without an
        # entry every pod would get a MissingClusterDNS warning.
        "clusterDNS": [identity.address],
        "clusterDomain": "cluster.local",
        "cgroupDriver": "cgroupfs",
        # No groups of the kubelet's own: every instance would want the same `kubepods`, or a root of its own
        # that must be there before. So v1 and v2 are alike; containers lie in groups of the runtime's.
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "localStorageCapacityIsolation": False,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "makeIPTablesUtilChains": False,
        "serializeImagePulls": False,
        "nodeStatusUpdateFrequency": "5s",
        "shutdownGracePeriod": "0s",
    }
    if not facts.can_raise_limits:
        settings["featureGates"] = {"KubeletInUserNamespace": True}
    return yaml.safe_dump(settings, sort_keys=False)


def render_audit_policy() -> str:
    """Every request, metadata only: bodies could hold Secrets."""
    return yaml.safe_dump(
        {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [{"level": "Metadata"}],
        },
        sort_keys=False,
    )
