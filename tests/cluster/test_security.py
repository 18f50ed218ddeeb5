"""The statements of docs/security.md that can be tried out: each test bears the words of its section."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from canaries import forms_of
from cluster_lab import Site, as_account

from runbook_lib.cluster.manifest import MANIFESTS, render
from runbook_lib.cluster.pods import exec_in_pod
from runbook_lib.steps.configure_auth import ConfigureAuth
from runbook_lib.steps.contract import REPOSITORY_ROOT
from runbook_lib.steps.fetch_buildctl import FetchBuildctl
from runbook_lib.steps.install_pod import InstallPod
from runbook_lib.steps.test_push import TestPush

CANARY = "build-argument-c4nary"
SYS_ADMIN = 1 << 21
# Where the daemon keeps what it knows, beside the content of images.
STATE = "tar -cf - /root /etc /tmp /run $(find /var/lib/buildkit -name '*.db' 2>/dev/null) 2>/dev/null"
# Of AWS, Azure, Google Cloud and OCI; then, for IPv6, of OCI, AWS and Google Cloud.
METADATA_SERVICES = ("169.254.169.254", "fd00:c1::a9fe:a9fe", "fd00:ec2::254", "fd20:ce::254")
_LISTEN, _UDP_BOUND = "0A", "07"


@pytest.fixture(scope="module")
def said(site: Site) -> Callable[..., bytes]:
    """What a command in a builder's Pod prints."""
    cluster = site.step(InstallPod).cluster

    def run(command: str, pod: str = "buildkitd") -> bytes:
        done = exec_in_pod(cluster, pod, ["sh", "-c", command], 30)
        assert done.code in (0, 1), done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def built(site: Site) -> Site:
    """A builder that has built and pushed for one user, with a build argument."""
    context = site.folder / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM busybox\nARG PASSWORD\nRUN echo $PASSWORD | wc -c > /length\n")
    given = {"context_dir": str(context), "build_args": {"PASSWORD": CANARY}}
    for kind in (InstallPod, ConfigureAuth, FetchBuildctl, TestPush):
        step = site.step(kind, **(given if kind is TestPush else {}))
        step.apply()
    assert step.verify().passed
    return site


def status_of(said: Callable[..., bytes], pod: str = "buildkitd") -> dict[str, str]:
    """The Uid, CapEff and Seccomp lines of the daemon (the oldest `buildkitd`), and its uid_map."""
    script = (
        "pid=$(pidof buildkitd | tr ' ' '\\n' | sort -n | head -n 1);"
        " grep -E '^(Uid|CapEff|Seccomp):' /proc/$pid/status;"
        " echo map: $(cat /proc/$pid/uid_map)"
    )
    lines = said(script, pod).decode().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def users_on_the_node(site: Site, pod: str) -> set[int]:
    """The user ids (real, effective, saved) of the Pod's daemon, as the node sees them from outside of it.

    The node is this machine. A container's mounts name the kubelet's folder of its Pod.
    """
    mark, found = f"/pods/{site.live('pod', pod)['metadata']['uid']}/", set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            mounts = Path(f"/proc/{process.pid}/mountinfo")
            if process.name() == "buildkitd" and mark in mounts.read_text():
                found |= set(process.uids())
    assert found, f"no process of {pod} is seen on the node"
    return found


@pytest.mark.usefixtures("built")
def test_a_privileged_builder_is_root_on_its_node(site: Site, said: Callable[..., bytes]) -> None:
    assert users_on_the_node(site, "buildkitd") == {0}
    status = status_of(said)
    assert status["Uid"].split()[0] == "0"
    assert status["map"].split() == ["0", "0", "4294967295"]
    assert int(status["CapEff"], 16) & SYS_ADMIN
    assert status["Seccomp"] == "0"
    assert b"kmsg" in said("ls /dev")


def test_the_other_modes_are_other_users_of_the_node(site: Site, said: Callable[..., bytes]) -> None:
    for mode in ("userns", "rootless"):
        site.step(InstallPod, mode=mode, name=mode).apply()
    userns, rootless = status_of(said, "userns"), status_of(said, "rootless")
    inside, outside, count = map(int, userns["map"].split())
    assert inside == 0
    assert outside >= 65536
    assert count == 65536
    assert int(userns["CapEff"], 16) & SYS_ADMIN, "within its own user namespace"
    node_users = users_on_the_node(site, "userns")
    assert min(node_users) >= outside
    assert max(node_users) < outside + count
    assert users_on_the_node(site, "rootless") == {1000}
    assert b"uid=1000" in said("id", "rootless")
    assert rootless["map"].split()[:3] != ["0", "0", "4294967295"]
    assert b"kmsg" not in said("ls /dev", "rootless")


@pytest.mark.usefixtures("built")
def test_nothing_listens_on_the_network(said: Callable[..., bytes]) -> None:
    table = said("cat /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6").decode()
    assert table.count("local_address") == 4
    states = [line.split()[3] for line in table.splitlines() if "local_address" not in line]
    assert _LISTEN not in states
    assert _UDP_BOUND not in states
    assert b"buildkitd.sock" in said("ls /run/buildkit")


@pytest.mark.usefixtures("built")
def test_the_builder_holds_no_token_of_the_kubernetes_api(said: Callable[..., bytes], site: Site) -> None:
    assert said("ls /var/run/secrets/kubernetes.io 2>/dev/null") == b""
    assert b"buildkit" in said("ls /run"), "the look finds nothing at all"
    for path in MANIFESTS.glob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            if document["kind"] in ("Pod", "Deployment"):
                spec = document["spec"].get("template", document)["spec"]
                assert spec["automountServiceAccountToken"] is False, path.name
                assert spec["enableServiceLinks"] is False, path.name


@pytest.mark.usefixtures("built")
def test_the_login_stays_with_the_client(site: Site, said: Callable[..., bytes]) -> None:
    token = Path(site.sandbox["registry_credential"].removeprefix("file:")).read_text().strip()
    forms = forms_of(site.sandbox["registry_username"], token)
    held = said(STATE) + said("cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null")
    assert CANARY.encode() in held, "the search would find nothing"
    assert [name for name, form in forms.items() if form in held] == []


def test_users_of_one_daemon_share_records_and_cache(built: Site, said: Callable[..., bytes]) -> None:
    """Another user, who may only build, reads the first one's build arguments and gets his layers."""
    other = as_account(built, "build")
    cluster = other.step(FetchBuildctl).cluster
    read = exec_in_pod(cluster, "buildkitd", ["buildctl", "debug", "histories", "--format", "{{json .}}"], 30)
    assert CANARY.encode() in read.stdout
    given = {"context_dir": str(built.folder / "context"), "build_args": {"PASSWORD": CANARY}}
    step = other.step(TestPush, repository="sandboxns/tests/second", **given)
    message = [f.message for f in step.apply()][-1]
    cached = re.search(r"(\d+) of \d+ steps CACHED", message)
    assert cached is not None
    assert int(cached[1]) >= 1


def policy_allows(policy: dict[str, Any], address: str) -> bool:
    """Whether a NetworkPolicy lets the chosen Pods connect to an address that is no Pod's."""
    if "Egress" not in policy["policyTypes"]:
        return True
    to = ipaddress.ip_address(address)
    for rule in policy.get("egress") or []:
        if not rule.get("to"):
            return True
        for block in (peer["ipBlock"] for peer in rule["to"] if "ipBlock" in peer):
            left_out = (ipaddress.ip_network(one) for one in block.get("except", []))
            if to in ipaddress.ip_network(block["cidr"]) and not any(to in one for one in left_out):
                return True
    return False


def test_the_network_policy_leaves_the_metadata_services_out() -> None:
    policy = yaml.safe_load((MANIFESTS / "networkpolicy.yaml").read_text())["spec"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    for address in METADATA_SERVICES:
        assert not policy_allows(policy, address), address
    for address in ("192.0.2.1", "10.96.0.10", "169.254.20.10", "2001:db8::1", "fd12:3456::1"):
        assert policy_allows(policy, address), address
    blocks = [peer["ipBlock"] for peer in policy["egress"][0]["to"]]
    for block in blocks:
        for one in block["except"]:
            without = [o for o in block["except"] if o != one]
            changed = [{**b, "except": without} if b is block else b for b in blocks]
            opened = {**policy, "egress": [{"to": [{"ipBlock": b} for b in changed]}]}
            assert any(policy_allows(opened, a) for a in METADATA_SERVICES), f"no address is named for {one}"


def test_the_network_policy_chooses_the_builder_and_leaves_the_runbook_whole(built: Site) -> None:
    path = MANIFESTS / "networkpolicy.yaml"
    built.kubectl("apply", "-f", str(path))
    policy = built.live("networkpolicy", "buildkitd")["spec"]
    assert "ingress" not in policy or policy["ingress"] == []
    labels = policy["podSelector"]["matchLabels"]
    assert labels.items() <= render(built.settings())[-1]["metadata"]["labels"].items()
    chosen = built.kubectl("get", "pods", "-l", ",".join(f"{k}={v}" for k, v in labels.items()), "-o", "name")
    assert "pod/buildkitd" in chosen
    step = built.step(TestPush, tags=["under-policy"])
    step.apply()
    assert step.verify().passed


def sections_without_a_test(text: str) -> list[str]:
    """Titles of the sections that name no test and do not say that there is none."""
    titled = (section.partition("\n") for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:])
    return [title for title, _, body in titled if not re.search(r"`test_\w+`|\bno test\b", body)]


def test_every_section_of_the_page_names_its_test_or_says_that_there_is_none() -> None:
    text = (REPOSITORY_ROOT / "docs" / "security.md").read_text()
    assert text.count("\n## ") >= 6
    assert sections_without_a_test(text) == []
    more = {"New": "It is safe.", "Newer": "There is no test of this.", "Last": "It is (`tests/builder`)."}
    added = "".join(f"\n## {title}\n\n{words}\n" for title, words in more.items())
    assert sections_without_a_test(text + added) == ["New", "Last"]
    named = set(re.findall(r"`(test_\w+)`", text))
    here = {name for name in globals() if name.startswith("test_") and "section" not in name}
    assert here <= named
    everywhere = "".join(p.read_text() for p in (REPOSITORY_ROOT / "tests").rglob("test_*.py"))
    assert [name for name in named if f"def {name}(" not in everywhere] == []
