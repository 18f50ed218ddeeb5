"""The table of programs: which Go module builds them, at which version, with which flags.

Versions must agree with `sandbox/go/<tool>/go.mod`; a test compares the two.
Linker variables are those that each project's own release build sets.
"""

from dataclasses import dataclass, field

_KUBERNETES = "v1.37.2"
_PACKAGES = "k8s.io/component-base/version", "k8s.io/client-go/pkg/version"
_GITHUB = "github.com"


@dataclass(frozen=True)
class Tool:
    """One Go module and the programs it yields.

    `programs` maps a program's name to its Go package (`.` is the module itself); `links` maps further names
    to a program that serves them by its argv[0]. `usual_seconds` is a cold build on two cores.
    """

    name: str
    version: str
    module: str
    programs: dict[str, str]
    usual_seconds: int
    links: dict[str, str] = field(default_factory=dict)
    linker_values: dict[str, str] = field(default_factory=dict)
    linker_flags: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    cgo: bool = False
    packages: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every program name this tool provides."""
        return (*self.programs, *self.links)

    def build_flags(self) -> tuple[str, ...]:
        """The arguments of `go build` that decide what comes out."""
        values = [part for key, value in self.linker_values.items() for part in ("-X", f"{key}={value}")]
        tags = ("-tags", ",".join(self.tags)) if self.tags else ()
        linker = " ".join(["-s", "-w", *values, *self.linker_flags])
        return ("-trimpath", "-buildvcs=false", *tags, "-ldflags", linker)


def _kubernetes() -> Tool:
    values = {f"{package}.gitVersion": _KUBERNETES for package in _PACKAGES}
    values |= {f"{package}.gitMajor": "1" for package in _PACKAGES}
    values |= {f"{package}.gitMinor": "37" for package in _PACKAGES}
    names = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl")
    return Tool(
        "kubernetes",
        _KUBERNETES,
        "k8s.io/kubernetes",
        {"kubernetes": "."},
        usual_seconds=450,
        links=dict.fromkeys(names, "kubernetes"),
        linker_values=values | {"k8s.io/component-base/version.gitTreeState": "clean"},
    )


_BUILDKIT = f"{_GITHUB}/moby/buildkit"
_CONTAINERD = f"{_GITHUB}/containerd/containerd/v2"
_CNI = f"{_GITHUB}/containernetworking/plugins"
_REGISTRY = f"{_GITHUB}/distribution/distribution/v3"
_RUNC = f"{_GITHUB}/opencontainers/runc"
_ROOTLESS = f"{_GITHUB}/rootless-containers/rootlesskit/v3"

_ALL = (
    _kubernetes(),
    Tool("etcd", "v3.6.11", "go.etcd.io/etcd/server/v3", {"etcd": "go.etcd.io/etcd/server/v3"}, 35),
    Tool(
        "buildkit",
        "v0.34.2",
        _BUILDKIT,
        {"buildctl": f"{_BUILDKIT}/cmd/buildctl", "buildkitd": f"{_BUILDKIT}/cmd/buildkitd"},
        105,
        linker_values={
            f"{_BUILDKIT}/version.Version": "v0.34.2",
            f"{_BUILDKIT}/version.Package": _BUILDKIT,
        },
    ),
    Tool(
        "containerd",
        "v2.4.2",
        _CONTAINERD,
        {
            "containerd": f"{_CONTAINERD}/cmd/containerd",
            "containerd-shim-runc-v2": f"{_CONTAINERD}/cmd/containerd-shim-runc-v2",
            "ctr": f"{_CONTAINERD}/cmd/ctr",
        },
        70,
        linker_values={f"{_CONTAINERD}/version.Version": "v2.4.2"},
        tags=("no_btrfs",),
    ),
    Tool(
        "registry",
        "v3.1.2",
        _REGISTRY,
        {"registry": f"{_REGISTRY}/cmd/registry"},
        75,
        linker_values={f"{_REGISTRY}/version.version": "v3.1.2", f"{_REGISTRY}/version.mainpkg": _REGISTRY},
    ),
    Tool(
        # Static and with seccomp: the same binary runs inside images that have no C library.
        "runc",
        "v1.5.2",
        _RUNC,
        {"runc": _RUNC},
        10,
        linker_flags=("-linkmode=external", "-extldflags=-static"),
        tags=("seccomp", "osusergo", "netgo", "urfave_cli_no_docs"),
        cgo=True,
        packages=("gcc", "libc6-dev", "pkg-config", "libseccomp-dev"),
    ),
    Tool(
        "cni",
        "v1.9.0",
        _CNI,
        {
            "bridge": f"{_CNI}/plugins/main/bridge",
            "loopback": f"{_CNI}/plugins/main/loopback",
            "host-local": f"{_CNI}/plugins/ipam/host-local",
            "portmap": f"{_CNI}/plugins/meta/portmap",
        },
        30,
        linker_values={f"{_CNI}/pkg/utils/buildversion.BuildVersion": "v1.9.0"},
    ),
    Tool("rootless", "v3.2.0", _ROOTLESS, {"rootlesskit": f"{_ROOTLESS}/cmd/rootlesskit"}, 30),
    Tool("pause", "v1.0.0", "", {"pause": "."}, 3, linker_values={"main.Version": "v1.0.0"}),
)

TOOLS: dict[str, Tool] = {tool.name: tool for tool in _ALL}
