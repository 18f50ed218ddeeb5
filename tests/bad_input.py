"""The one table of bad input: each row is a call, its error type and a pattern of what it says.

Groups: parameters, texts of variables, profiles, notebooks, contexts, references, user names, credentials,
docker configs, challenges; files and kubeconfigs are in `bad_files`. `tests/test_bad_input.py` holds every
row to the same rules and counts them.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bad_files
from bad_row import Row

from runbook_lib.credentials import CredentialReference, SecretValue
from runbook_lib.errors import (
    DockerConfigError,
    HelperMissingError,
    InvalidParameterError,
    MalformedCredentialError,
    MissingCredentialError,
    ProfileError,
    ReferenceFormatError,
    RegistryAnswerError,
    RegistryTlsError,
    RunbookError,
    UnknownParameterError,
)
from runbook_lib.registry.challenge import parse as parse_challenge
from runbook_lib.registry.client import RegistryClient
from runbook_lib.registry.credential_helper import CredentialHelper
from runbook_lib.registry.docker_config import DockerConfigFile
from runbook_lib.registry.logins import Login, decode_auth, encode_auth
from runbook_lib.registry.ocir import check_username
from runbook_lib.registry.reference import Reference
from runbook_lib.settings_sources import from_notebook, load

SECRET_LOOKING = "hunter2-pasted-by-mistake"


PATHS = (
    "kubeconfig", "run_dir", "registry_ca", "docker_config", "buildctl", "buildctl_archive", "kubectl",
    "bin_dir", "context_dir", "dockerfile", "local_cache",
)  # fmt: skip


class _Array:
    """Like numpy's: it can be compared, and the answer is neither true nor false."""

    def __ne__(self, other: object) -> bool:
        raise ValueError("the truth value of an array is ambiguous")

    __hash__ = None  # type: ignore[assignment]


PARAMETERS: list[tuple[str, Any, str]] = [
    ("registry", "https://iad.ocir.io", "scheme"),
    ("registry", "iad.ocir.io/ns", "path"),
    ("registry", "user@iad.ocir.io", "registry_username"),
    ("registry", "iad.ocir.io:0", "port"),
    ("registry", "iad.ocir.io:65536", "port"),
    ("registry", "iad.ocir.io:https", "port"),
    ("registry", "iad.ocir.io:", "port"),
    ("registry", "iad ocir.io", "DNS name"),
    ("registry", " iad.ocir.io", "space"),
    ("registry", "iad.ocir.io\n", "control character"),
    ("registry", "--iad.ocir.io", "begins with '-'"),
    ("registry", "iad..ocir.io", "DNS name"),
    ("registry", "íad.ocir.io", "DNS name"),
    ("registry", "a" * 254, "253"),
    ("registry", "::1", "brackets"),
    ("registry", "[::1", "unclosed"),
    ("registry", "[zz::1]:5000", "registry"),
    ("registry", "300.1.1.1", "IPv4"),
    ("namespace", "", "namespace"),
    ("namespace", "Default", "may only have"),
    ("namespace", "a" * 64, "63"),
    ("namespace", "-a", "begins with '-'"),
    ("namespace", "a/b", "may only have"),
    ("name", "buildkitd_1", "may only have"),
    ("image", "https://docker.io/moby/buildkit", "scheme"),
    ("image", "docker.io/Moby/buildkit:v1", "component"),
    ("image", "docker.io/moby/buildkit:", "tag"),
    ("image", "docker.io/moby/buildkit@sha256:abc", "digest"),
    ("repository", "ns/App", "component"),
    ("repository", "ns//app", "component"),
    ("repository", "ns/app:v1", "tags"),
    ("repository", "a" * 256, "255"),
    ("tags", [], "at least 1"),
    ("tags", ["."], "tag"),
    ("tags", ["x" * 129], "tag"),
    ("tags", "v1", "list"),
    ("tags", [1], "string"),
    ("mode", "root", "privileged"),
    ("kind", "statefulset", "pod"),
    ("requests", {"cpu": "lots"}, "quantity"),
    ("limits", {"memory": "-1Gi"}, "quantity"),
    ("platforms", ["linux"], "os/architecture"),
    ("build_args", {"1A": "x"}, "variable name"),
    ("mirrors", {"docker.io": ["http://mirror"]}, "scheme"),
    ("ready_timeout", 0, "greater than 0"),
    ("ready_timeout", "soon", "number"),
    ("build_timeout", 10**400, "number"),
    ("build_timeout", -(10**400), "number"),
    ("keep_runs", 10**400, "integer|less than"),
    ("tags", ["a"] * 200_000, "at most 1000"),
    ("platforms", ["linux/amd64"] * 1001, "at most 1000"),
    ("more_registries", [{"credential": "env:X", "registry": "a.io"}] * 1001, "at most 1000"),
    ("build_args", {f"A{n}": "" for n in range(1001)}, "at most 1000"),
    ("mirrors", {"docker.io": ["a.io"] * 1001}, "at most 1000"),
    ("build_timeout", -5, "greater than 0"),
    ("allow_replace", "yes", "boolean"),
    ("buildctl_version", "0.34.2", r"v1\.2\.3"),
    ("buildctl_sha256", "abc", "pattern"),
    ("buildctl_sources", ["carrier-pigeon"], "pod"),
    ("more_registries", [{"registry": "iad.ocir.io"}], "credential"),
    ("more_registries", [{"registry": "a.b", "credential": "env:X", "password": "p"}], "not permitted"),
    ("registry_credential", SECRET_LOOKING, "by reference"),
    ("registry_credential", "env:", "by reference"),
    ("registry_credential", f"env:{SECRET_LOOKING}", "give the name"),
    ("registry_credential", "secret:only/two", "NAMESPACE/NAME/KEY"),
    # -- host, port, path, IPv6, aliases
    ("registry", "iad.ocir.io:5000/ns/app", "path"),
    ("registry", "[::1]:5000/ns", "path"),
    ("registry", "[::1]5000", "misplaced"),
    ("registry", "[::1]:", "port"),
    ("registry", "[::1]:99999", "port"),
    ("registry", "[fe80::1%eth0]:5000", "no plain IPv6"),
    ("registry", "[::1%$(id)]", "no plain IPv6"),
    ("registry", "[127.0.0.1]:5000", "no plain IPv6"),
    ("registry", "[iad.ocir.io]", "no plain IPv6"),
    ("registry", "iad.ocir.io:５０００", "port"),
    ("registry", "iad.ocir.io:-1", "port"),
    ("registry", "iad.ocir.io:50 00", "port"),
    ("registry", "1.2.3", "IPv4"),
    ("registry", "docker.io/library", "path"),
    ("registry", "https://index.docker.io/v1/", "scheme"),
    ("registry", "iad.ocir.io?x=1", "DNS name"),
    ("registry", "iad.ocir.io#x", "DNS name"),
    ("registry", "iad.ocir.io;reboot", "DNS name"),
    ("registry", "$(reboot).ocir.io", "DNS name"),
    ("registry", "a" * 64 + ".io", "DNS name"),
    ("registry", "iad.ocir.io\u200b", "DNS name"),
    ("registry", "\u202eoi.ricoi", "DNS name"),
    ("registry", "iad.ocir.io\x00", "control character"),
    ("registry", "\ufeffiad.ocir.io", "DNS name"),
    ("registry", 5000, "string"),
    ("registry", None, "string"),
    ("more_registries", [{"registry": "--x.io", "credential": "env:X"}], "begins with '-'"),
    ("more_registries", [{"registry": "twice.io", "credential": "env:X"}] * 2, "given twice"),
    (
        "more_registries",
        [{"registry": h, "credential": "env:X"} for h in ("docker.io", "index.docker.io")],
        "given twice",
    ),
    ("more_registries", [{"registry": h, "credential": "env:X"} for h in ("a.io", "A.IO")], "given twice"),
    ("more_registries", "a.io", "list"),
    # -- names that a command would take for an option, too long, with marks that nobody sees
    ("name", "--all", "begins with '-'"),
    ("name", "a" * 254, "63"),
    ("name", "buildkitd\u200b", "may only have"),
    ("name", "buildkitd\r", "control character"),
    ("name", "ｂuildkitd", "may only have"),
    ("namespace", "--all-namespaces", "begins with '-'"),
    ("namespace", "kube system", "may only have"),
    ("namespace", "a" * 254, "63"),
    ("namespace", "ns;id", "may only have"),
    ("namespace", ["a"], "string"),
    ("push_secret", "--from-file=x", "begins with '-'"),
    ("push_secret", "a_b", "DNS subdomain"),
    ("repository", "--output", "begins with '-'"),
    ("repository", "/ns/app", "component"),
    ("repository", "ns/app/", "component"),
    ("repository", "ns/ápp", "component"),
    ("repository", "ns/app\t", "control character"),
    ("repository", "ns/../app", "component"),
    ("repository", "ns/app@sha256:" + "0" * 64, "tags"),
    ("image", "--privileged", "begins with '-'"),
    ("image", "docker.io/moby/buildkit:v1 ", "space"),
    ("image", "docker.io/moby/buildkit@sha256:" + "g" * 64, "digest"),
    ("image", "moby/buildkit:" + "x" * 129, "tag"),
    ("image", "[::1/x:1", "image|registry|component"),
    ("tags", ["--push"], "begins with '-'"),
    ("tags", ["a b"], "tag"),
    ("tags", ["vé"], "tag"),
    ("tags", ["v1\n"], "control character"),
    ("tags", [None], "string"),
    ("tags", {"v1": 1}, "list"),
    # -- wrong types and ranges
    ("ready_timeout", float("nan"), "less than|greater than"),
    ("ready_timeout", float("inf"), "less than|finite"),
    ("request_timeout", 301, "less than"),
    ("request_timeout", [], "number"),
    ("run_image", 1, "boolean"),
    ("try_user_names", "yes", "boolean"),
    ("requests", ["cpu"], "dictionary"),
    ("requests", {"cpu": "1;id"}, "quantity"),
    ("build_args", {"A B": "x"}, "variable name"),
    ("build_args", {"A=B": "x"}, "variable name"),
    ("build_args", {"--x": "x"}, "variable name"),
    ("platforms", ["linux/amd64;id"], "os/architecture"),
    ("platforms", "linux/amd64", "list"),
    ("buildctl_version", "v1.2.3;id", r"v1\.2\.3"),
    ("buildctl_version", "latest", r"v1\.2\.3"),
    ("kubectl_version", "../v1.2.3", r"v1\.2\.3"),
    ("buildctl_sha256", "G" * 64, "pattern"),
    ("language", "xx", "en"),
    ("registry_credential", "secret:a/b/c/d", "NAMESPACE/NAME/KEY"),
    ("registry_credential", "file:", "by reference"),
    ("registry_credential", "https://vault/x", "by reference"),
    # -- digits and letters of other scripts, and other spellings of one thing
    ("requests", {"cpu": "５００m"}, "quantity"),
    ("limits", {"memory": "٤Gi"}, "quantity"),
    ("buildctl_version", "v١.٢.٣", r"v1\.2\.3"),
    ("kubectl_version", "v１.２.３", r"v1\.2\.3"),
    ("upgrade_to", "v0.３４.2", "tag"),
    ("platforms", ["linux/ａmd64"], "os/architecture"),
    ("image", "docker.io/moby/buildkit@sha256:" + "A" * 64, "digest"),
    ("image", "sha256:" + "a" * 64, "digest alone"),
    ("image", "a" * 64, "digest alone"),
    ("image", "localhost:05000/x:1", "port"),
    ("probe_image", "sha256:" + "a" * 64, "digest alone"),
    ("upgrade_to", "sha256:" + "a" * 64, "digest alone"),
    ("registry", "iad.ocir.io:05000", "port"),
    ("registry", "[::1]:0443", "port"),
    ("mirrors", {"docker.io": ["a.io:05000"]}, "port"),
    *(
        ("more_registries", [{"credential": "env:X", "registry": h} for h in hosts], "given twice")
        for hosts in (
            ("a.io", "a.io:443"),
            ("[::1]", "[0:0:0:0:0:0:0:1]"),
            ("[::1]:443", "[::0001]"),
            ("docker.io:443", "registry-1.docker.io"),
        )
    ),
    # -- what the API would refuse
    *(
        (field, {key: "1"}, "no resource")
        for field in ("requests", "limits")
        for key in ("--x", "", "cpu ", " cpu", "CPU", "cpus", "hugepages-", "ｃpu", "cpu\n")
    ),
    ("requests", {"nvidia.com/": "1"}, "label"),
    ("requests", {"/gpu": "1"}, "DNS subdomain"),
    ("limits", {"-x/gpu": "1"}, "begins with '-'"),
    ("limits", {"cpu": ""}, "quantity"),
    ("node_selector", {"a b": "c d"}, "label"),
    ("node_selector", {"": "c"}, "label"),
    ("node_selector", {"a": "c d"}, "label value"),
    ("node_selector", {"a": "-c"}, "label value"),
    ("node_selector", {"a": "c" * 64}, "label value"),
    ("node_selector", {"a" * 64: "c"}, "label"),
    ("node_selector", {"A.io/a/b": "c"}, "DNS subdomain"),
    ("node_selector", {"--x": "c"}, "label"),
    ("node_selector", {"a": True}, "string"),
    ("tolerations", [{"foo": 1}], "foo"),
    ("tolerations", [{"operator": "Maybe"}], "operator.*Exists"),
    ("tolerations", [{}], "must be Exists"),
    ("tolerations", [{"value": "x"}], "must be Exists"),
    ("tolerations", [{"key": "a b"}], "label"),
    ("tolerations", [{"key": "a", "value": "b c"}], "label value"),
    ("tolerations", [{"key": "a", "operator": "Exists", "value": "b"}], "takes no value"),
    ("tolerations", [{"key": "a", "effect": "Never"}], "effect.*NoSchedule"),
    ("tolerations", [{"key": "a", "tolerationSeconds": 5}], "NoExecute"),
    ("tolerations", [{"key": "a", "effect": "NoExecute", "tolerationSeconds": "5"}], "integer"),
    ("tolerations", [{"key": "a", "effect": "NoExecute", "tolerationSeconds": 2**63}], "less than"),
    ("tolerations", ["NoSchedule"], "dictionary"),
    ("tolerations", [{"key": 1}], "string"),
    # -- addresses
    *(
        (field, address, says)
        for field in ("buildctl_url", "kubectl_url")
        for address, says in (
            ("not a url", "not an address"),
            ("ftp://x", "not an address"),
            ("file:///etc", "not an address"),
            ("https://", "empty"),
            ("https://a b/", "not an address"),
            ("https://x/\nHost: y", "not an address"),
            ("https://x:99999/", "port"),
            ("https://[::1", "."),
            ("https://x/?a=b", "query"),
            (f"https://u:{SECRET_LOOKING}@x/", "password"),
        )
    ),
    # -- control characters, and what a command would take for an option
    *(
        (name, bad, "control character")
        for name in (
            "context",
            "registry_username",
            "build_target",
            "dockerfile",
            "context_dir",
            "kubeconfig",
            "bin_dir",
            "registry_ca",
            "docker_config",
            "run_dir",
            "buildctl",
            "kubectl",
        )
        for bad in ("a\0b", "a\nb", "a\x85b", "a\x7fb")
    ),
    ("registry_username", "a\ud800b", "unicode"),
    ("run_dir", "a\ud800b", "unicode"),
    ("expected_output", "a\0b", "control character"),
    ("build_args", {"A": "a\0b"}, "control character"),
    ("build_args", {"A": "\ud800"}, "unicode"),
    ("registry_credential", "file:a\0b", "control character"),
    ("registry_credential", "file:a\nb", "control character"),
    ("registry_credential", "secret:A b/c/d", "NAMESPACE/NAME/KEY"),
    ("registry_credential", "secret:a/--x/d", "NAMESPACE/NAME/KEY"),
    ("registry_credential", "secret:a/b/ c", "NAMESPACE/NAME/KEY"),
    ("mirrors", {"docker.io": ["a.io/x\ny"]}, "control character"),
    ("cache_from", ["type=local,src=a\0b"], "control character"),
    (
        "more_registries",
        [{"registry": "a.io", "credential": "env:X", "username": "a\nb"}],
        "control character",
    ),
    ("more_registries", [{"registry": "a.io", "credential": "env:X", "username": "a" * 5000}], "4096"),
    *((name, "--x", "begins with '-'") for name in ("build_target", *PATHS)),
    ("cache_to", ["--x"], "begins with '-'"),
    ("cache_from", ["--opt=x"], "begins with '-'"),
    ("cache_to", [""], "type="),
    # -- paths
    *((name, "~nosuchuser/x", "home folder") for name in PATHS),
    ("more_registries", [{"registry": "a.io", "credential": "env:X", "ca": "~nosuchuser/x"}], "home folder"),
    ("registry_ca", "/dev/zero", "device"),
]

TOGETHER: dict[str, tuple[dict[str, Any], str]] = {
    "request above its limit": ({"requests": {"cpu": "2"}, "limits": {"cpu": "500m"}}, "requests.*limits"),
    "request above its limit, by suffix": (
        {"requests": {"memory": "1Gi"}, "limits": {"memory": "1G"}},
        "1Gi of memory",
    ),
    "a device overcommitted": ({"requests": {"a.io/gpu": "1"}, "limits": {"a.io/gpu": "2"}}, "the same"),
    "look and change": ({"look_only": True, "prune": True}, "prune"),
}
TEXTS: list[tuple[str, str, str]] = [
    ("RUNBOOK_TAGS", "[", "not a list"),
    ("RUNBOOK_TAGS", "[" * 100_000, "not a list"),
    ("RUNBOOK_TAGS", "[&a x, *a]", "not a list"),
    ("RUNBOOK_MIRRORS", "a: &a [x]\nb: *a", "not a dict"),
    ("RUNBOOK_MIRRORS", "{a: [", "not a dict"),
    ("RUNBOOK_MIRRORS", "!!python/object/apply:os.system [id]", "not a dict"),
    ("RUNBOOK_RUN_IMAGE", "maybe", "not a bool"),
    ("RUNBOOK_READY_TIMEOUT", "1e", "not a float"),
    ("RUNBOOK_READY_TIMEOUT", "1e400", "less than"),
    ("RUNBOOK_KEEP_RUNS", "9" * 5000, "not a int"),
    ("RUNBOOK_LIMITS", "{cpu: !!timestamp x}", "not a dict"),
    ("RUNBOOK_LIMITS", "{cpu: '1', cpu: '2'}", "not a dict"),
    ("RUNBOOK_TAGS", "a," * 1001, "at most 1000"),
    ("RUNBOOK_READY_TIMEOUT", "nan", "less than|greater than"),
]

_CHAIN = zip("abcdefgh", "bcdefghi", strict=True)
_BOMB = "a: &a [x, x]\n" + "".join(f"{n}: &{n} [*{p}, *{p}]\n" for p, n in _CHAIN)
PROFILES: dict[str, tuple[bytes, type[RunbookError], str]] = {
    "bomb": (_BOMB.encode(), ProfileError, "aliases"),
    "bomb in a value": (b"tags: [&a x, *a]", ProfileError, "aliases"),
    "list": (b"- a", ProfileError, "mapping"),
    "text": (b"just text", ProfileError, "mapping"),
    "number key": (b"1: x", ProfileError, "mapping"),
    "cut": (b"context: [", ProfileError, "line"),
    "tab": (b"context:\n\t- x", ProfileError, "line"),
    "deep": (b"tags: " + b"[" * 900_000, ProfileError, "not valid YAML"),
    "python object": (b"tags: !!python/object/apply:os.system [id]", ProfileError, "not valid YAML"),
    "two documents": (b"name: a\n---\nname: b", ProfileError, "not valid YAML"),
    "not UTF-8": (b"name: \xff\xfe\xfd", ProfileError, "not valid YAML"),
    "NUL": (b"name: a\x00b", ProfileError, "not valid YAML"),
    "huge": (b"x" * 1_000_001, ProfileError, "larger"),
    "unknown": (b"contxt: x", UnknownParameterError, "did you mean context"),
    "wrong type": (b"ready_timeout: soon", InvalidParameterError, "number"),
    "date": (b"name: 2024-01-01", InvalidParameterError, "string"),
    "no date": (b"name: !!timestamp x", ProfileError, "does not fit its tag"),
    "no day": (b"name: 2024-99-99", ProfileError, "does not fit its tag"),
    "no bool": (b"run_image: !!bool x", ProfileError, "does not fit its tag"),
    "empty number": (b"keep_runs: !!int ''", ProfileError, "does not fit its tag"),
    "empty float": (b"build_timeout: !!float ''", ProfileError, "does not fit its tag"),
    "long number": (b"keep_runs: " + b"9" * 5000, ProfileError, "does not fit its tag"),
    "deep blocks": (b"".join(b" " * n + b"a:\n" for n in range(500)), ProfileError, "nested too deeply"),
    "key twice": (b"name: a\nname: b", ProfileError, r"'name' is given twice \(line 2\)"),
    "key twice, quoted": (b"name: a\n'name': b", ProfileError, "'name' is given twice"),
    "key twice inside": (b"limits: {cpu: '1', cpu: '2'}", ProfileError, "'cpu' is given twice"),
    "200,000 tags": (b"tags: [" + b"a," * 200_000 + b"]", ProfileError, "more values"),
    "1,001 tags": (b"tags: [" + b"a," * 1001 + b"]", InvalidParameterError, "at most 1000"),
    "1,001 labels": (
        b"node_selector: {" + b"".join(b"k%d: v," % n for n in range(1001)) + b"}",
        InvalidParameterError,
        "at most 1000",
    ),
    "infinite": (b"build_timeout: .inf", InvalidParameterError, "less than|finite"),
}
NOTEBOOKS: dict[str, tuple[dict[str, Any], type[RunbookError], str]] = {
    "unknown": ({"contxt": "x", "In": ["# Parameters\ncontxt = 'x'\n"]}, UnknownParameterError, "context"),
    "unknown and far": ({"zzz": 1}, UnknownParameterError, "lists them all"),
    "injected only": ({"In": ["# Parameters\nnamespce = 'x'\n"]}, UnknownParameterError, "namespace"),
    "wrong type": ({"tags": "v1"}, InvalidParameterError, "list"),
    "an option as a name": ({"name": "--help"}, InvalidParameterError, "begins with '-'"),
    "a set": ({"tags": {"v1"}}, InvalidParameterError, "list"),
    "a frozen set": ({"platforms": frozenset(("linux/amd64",))}, InvalidParameterError, "list"),
    "a bad word in a tuple": ({"tags": ("a b",)}, InvalidParameterError, "tag"),
    "a path for a name": ({"namespace": Path("x")}, InvalidParameterError, "string"),
    "bytes": ({"namespace": b"x"}, InvalidParameterError, "string"),
    "an array": ({"tags": _Array()}, InvalidParameterError, "list"),
    "a date": ({"context": datetime.date(2024, 1, 1)}, InvalidParameterError, "string"),
    "a complex number": ({"build_timeout": 1j}, InvalidParameterError, "number"),
    "a generator": ({"tags": (t for t in ("a",))}, InvalidParameterError, "list"),
    "a magic": ({"In": ["# Parameters\n%load x\n"]}, InvalidParameterError, "not Python"),
    "half a line": ({"In": ["# Parameters\nname =\n"]}, InvalidParameterError, "run the cell again"),
    "NUL": ({"In": ["# Parameters\nname = '\0'\n"]}, InvalidParameterError, "not Python"),
    "deep": ({"In": ["# Parameters\ntags = " + "[" * 100_000]}, InvalidParameterError, "not Python"),
    "a module over what was injected": (
        {"requests": json, "In": ["# Parameters\nrequests = {'cpu': '1'}\n"]},
        InvalidParameterError,
        "dictionary",
    ),
}
REFERENCES = (
    "",
    "app:1",
    "ns/app:1",
    "iad.ocir.io/ns/app",
    "iad.ocir.io/ns/app:",
    "iad.ocir.io/ns/app@",
    "iad.ocir.io/ns/app:.x",
    "iad.ocir.io/ns/app:" + "x" * 129,
    "iad.ocir.io/ns/app@sha256:abc",
    "iad.ocir.io/ns/app@md5:0",
    "iad.ocir.io/ns/app@sha256:" + "A" * 64,
    "iad.ocir.io/ns/app@sha256:" + "a" * 63 + "F",
    "iad.ocir.io/ns/app@sha256:" + "０" * 64,
    "iad.ocir.io:0443/ns/app:1",
    "iad.ocir.io/ns/App:1",
    "iad.ocir.io/ns//app:1",
    "iad.ocir.io:0/ns/app:1",
    "iad.ocir.io:99999/ns/app:1",
    "https://iad.ocir.io/ns/app:1",
    "iad.ocir.io/ns/app:1\n",
    "iad.ocir.io/" + "a" * 256 + ":1",
    "--x/ns/app:1",
    "iad.ocir.io/--app:1",
    "[::1]/App:1",
    "[::1/app:1",
    "[::1]:x/app:1",
    "iad.ocir.io/ns/app:a b",
    "iad.ocir.io/ns/äpp:1",
    "iad.ocir.io/ns/app:1\x00",
    "iad.ocir.io/ns/app:1@sha256:",
    "iad.ocir.io/ns/app:1:2",
    "docker.io:1",
    "library/alpine:3",
)
USERS = (
    "",
    "jdoe",
    "ns/",
    "/jdoe",
    "ns//jdoe",
    "a/b/c/d",
    "ns/j doe",
    "ns/jdoe:token",
    "ns/jdoe\n",
    "jdoe@acme.com",
    "ns/jdoe\u200b",
    "ns/\u202ejdoe",
    "ns/jdoe\x85",
    "ns/dom//jdoe",
    "//",
)
CONFIGS: dict[str, str | bytes] = {
    "cut": '{"auths": {',
    "trailing comma": '{"auths": {},}',
    "list": "[]",
    "auths list": '{"auths": []}',
    "entry text": '{"auths": {"h": "x"}}',
    "helpers list": '{"credHelpers": []}',
    "helper number": '{"credHelpers": {"h": 1}}',
    "store number": '{"credsStore": 1}',
    "key twice": '{"auths": {}, "auths": {}}',
    "NaN": '{"x": NaN}',
    "huge number": '{"x": 1e999}',
    "latin-1": b'{"x": "\xe9"}',
    "deep": "[" * 200_000,
}


SINGLE = (
    Row("user with colon", lambda _: encode_auth(Login("a:b", SecretValue("t"))), MalformedCredentialError),
    Row("auth not base64", lambda _: decode_auth("%%%", "x"), DockerConfigError),
    Row("auth without colon", lambda _: decode_auth("YWJj", "x"), DockerConfigError),
    Row("helper name", lambda _: CredentialHelper("../sh"), DockerConfigError),
    Row("helper missing", lambda _: CredentialHelper("nowhere-here").require(), HelperMissingError),
    Row("no challenge", lambda _: parse_challenge("", "h"), RegistryAnswerError),
    Row("Negotiate", lambda _: parse_challenge("Negotiate", "h"), RegistryAnswerError),
    Row("realm in clear", lambda _: parse_challenge('Bearer realm="http://h/t"', "h"), RegistryAnswerError),
    Row("realm missing", lambda _: parse_challenge('Bearer service="h"', "h"), RegistryAnswerError),
    Row(
        "env unset",
        lambda _: _resolve("env:RUNBOOK_NOT_SET"),
        MissingCredentialError,
    ),
    Row(
        "file missing",
        lambda _: _resolve("file:/nowhere/t"),
        MissingCredentialError,
    ),
    Row("no cluster", lambda _: _resolve("secret:a/b/c"), MissingCredentialError),
    Row("CA missing", lambda _: RegistryClient("h", ca="/nowhere/ca.pem"), RegistryTlsError),
)


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) < 70 else f"{shown[:40]}…{shown[-25:]}"


def _resolve(reference: str) -> object:
    return CredentialReference.parse(reference).resolve()


def _merge(folder: Path, content: str | bytes) -> object:
    path = folder / "config.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return DockerConfigFile(path).merge({"iad.ocir.io": Login("ns/u", SecretValue("token-1"))})


def _profile(folder: Path, content: bytes) -> object:
    (folder / "p.yaml").write_bytes(content)
    return load(profile=str(folder / "p.yaml"), environ={})


def _rows() -> Iterator[Row]:
    for name, value, says in PARAMETERS:
        yield Row(
            f"{name}={_short(value)}",
            lambda _, n=name, v=value: load({n: v}, environ={}),
            InvalidParameterError,
            says,
        )
    for name, (values, says) in TOGETHER.items():
        yield Row(name, lambda _, v=values: load(v, environ={}), InvalidParameterError, says)
    for name, text, says in TEXTS:
        row = f"{name}={_short(text)}"
        yield Row(row, lambda _, n=name, t=text: load(environ={n: t}), InvalidParameterError, says)
    for name, (content, error, says) in PROFILES.items():
        yield Row(f"profile {name}", lambda f, c=content: _profile(f, c), error, says)
    for name, (found, error, says) in NOTEBOOKS.items():
        yield Row(f"notebook {name}", lambda _, n=found: from_notebook(n), error, says)
    for text in REFERENCES:
        yield Row(f"reference {_short(text)}", lambda _, t=text: Reference.parse(t), ReferenceFormatError)
    for name in USERS:
        yield Row(f"user {name!r}", lambda _, n=name: check_username("ocir", n), InvalidParameterError)
    for name, config in CONFIGS.items():
        yield Row(f"config {name}", lambda f, c=config: _merge(f, c), DockerConfigError)
    yield from SINGLE
    yield from bad_files.rows()


ROWS = tuple(_rows())
