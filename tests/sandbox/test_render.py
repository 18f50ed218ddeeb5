"""Pure functions: configuration for different hosts, capability parsing, names."""

import json
import tomllib
from pathlib import Path

import pytest
import yaml

from sandbox.build.golang import parse_version
from sandbox.build.tools import TOOLS
from sandbox.cluster import host
from sandbox.cluster.host import HostFacts, has_capability, require_linux_root
from sandbox.cluster.identity import PORT_NAMES, Identity
from sandbox.cluster.layout import Layout, layout_for
from sandbox.cluster.render import render_cni, render_containerd, render_kubelet, render_registry_hosts
from sandbox.cluster.report import export_lines, prefixed
from sandbox.console import Reporter
from sandbox.errors import PlatformError, UsageError
from sandbox.paths import MODULES

LAYOUT = Layout("unit", Path("/state/unit"))
IDENTITY = Identity(7, {name: 20280 + index for index, name in enumerate(PORT_NAMES)})


def facts(*, limits: bool = True, kind: str = "ext4", iptables: bool = False) -> HostFacts:
    return HostFacts(limits, kind, iptables)


@pytest.mark.parametrize(("limits", "restrict"), [(True, False), (False, True)])
def test_containerd_follows_the_capability(limits: bool, restrict: bool) -> None:
    text = render_containerd(LAYOUT, facts(limits=limits), Path("/b/runc"), Path("/b/cni"))
    runtime = tomllib.loads(text)["plugins"]["io.containerd.cri.v1.runtime"]
    assert runtime["restrict_oom_score_adj"] is restrict
    assert runtime["containerd"]["runtimes"]["runc"]["options"]["BinaryName"] == "/b/runc"


@pytest.mark.parametrize(("kind", "snapshotter"), [("ext4", "overlayfs"), ("overlay", "native")])
def test_containerd_does_not_put_overlay_on_overlay(kind: str, snapshotter: str) -> None:
    text = render_containerd(LAYOUT, facts(kind=kind), Path("/b/runc"), Path("/b/cni"))
    assert tomllib.loads(text)["plugins"]["io.containerd.cri.v1.images"]["snapshotter"] == snapshotter


def test_kubelet_makes_no_control_groups_of_its_own() -> None:
    settings = yaml.safe_load(render_kubelet(LAYOUT, IDENTITY, facts()))
    assert settings["cgroupsPerQOS"] is False
    assert settings["failCgroupV1"] is False
    # A root other than "/" must be there before the kubelet is, and nobody makes it.
    assert "cgroupRoot" not in settings
    assert settings["clusterDNS"] == ["10.244.7.1"]


@pytest.mark.parametrize(("limits", "gates"), [(True, None), (False, {"KubeletInUserNamespace": True})])
def test_kubelet_follows_the_capability(limits: bool, gates: dict[str, bool] | None) -> None:
    settings = yaml.safe_load(render_kubelet(LAYOUT, IDENTITY, facts(limits=limits)))
    assert settings.get("featureGates") == gates


@pytest.mark.parametrize(("iptables", "kinds"), [(False, ["bridge"]), (True, ["bridge", "portmap"])])
def test_cni_uses_portmap_only_with_iptables(iptables: bool, kinds: list[str]) -> None:
    network = json.loads(render_cni(IDENTITY, facts(iptables=iptables), Path("/l")))
    assert [plugin["type"] for plugin in network["plugins"]] == kinds
    assert network["plugins"][0]["ipam"]["ranges"] == [[{"subnet": "10.244.7.0/24"}]]


def test_mirror_never_leaves_the_sandbox() -> None:
    hosts = tomllib.loads(render_registry_hosts(IDENTITY, Path("/ca")))
    assert hosts["server"] == f"https://{IDENTITY.registry}"
    assert list(hosts["host"]) == [hosts["server"]]


def test_capability_is_read_from_the_effective_set() -> None:
    status = "CapPrm:\t0000000000000000\nCapEff:\t000001fffeffffff\n"
    assert not has_capability(status, 24)
    assert has_capability(status, 23)


def test_without_root_the_error_names_the_alternative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(PlatformError, match="kubeconfig context"):
        require_linux_root()


@pytest.mark.parametrize("name", ["", "Upper", "a/b", "-a", "a-", "x" * 21])
def test_bad_instance_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        layout_for(name)


def test_a_state_folder_too_deep_for_sockets_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_STATE", "/" + "d" * 100)
    with pytest.raises(PlatformError, match="SANDBOX_STATE"):
        layout_for("default")


def test_exports_survive_a_shell() -> None:
    assert export_lines(prefixed({"A": "it's"}, "P_")) == """export P_A='it'"'"'s'"""


def test_what_only_operators_need_never_takes_a_users_prefix() -> None:
    assert prefixed({"REGISTRY": "r", "AUDIT_LOG": "a"}, "P_") == {
        "P_REGISTRY": "r",
        "SANDBOX_AUDIT_LOG": "a",
    }


@pytest.mark.parametrize("tool", [tool for tool in TOOLS.values() if tool.module], ids=lambda tool: tool.name)
def test_the_table_and_the_module_files_name_the_same_version(tool: object) -> None:
    name, module, version = tool.name, tool.module, tool.version  # type: ignore[attr-defined]
    lines = (MODULES / name / "go.mod").read_text().splitlines()
    assert any(f"{module} {version}" in line for line in lines)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go version go1.27 x", (1, 27, 0)),
        ("nonsense", None),
    ],
)
def test_go_versions_are_parsed(text: str, numbers: tuple[int, ...] | None) -> None:
    assert parse_version(text) == numbers


def test_a_low_limit_of_watches_is_raised_aloud_and_a_sufficient_one_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    limit = tmp_path / "max_user_instances"
    limit.write_text("128")
    monkeypatch.setattr(host, "_WATCHES", limit)
    monkeypatch.setattr(host, "_watches_in_use", lambda: 96)
    host.ensure_watches(Reporter())
    assert limit.read_text() == "128"
    monkeypatch.setattr(host, "_watches_in_use", lambda: 97)
    host.ensure_watches(Reporter())
    assert limit.read_text() == "1024"
    said = capsys.readouterr()
    assert "fs.inotify.max_user_instances" in said.out + said.err
