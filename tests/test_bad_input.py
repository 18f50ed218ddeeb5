"""Bad parameters, one row each: a typed error that names the parameter, with a remedy."""

from __future__ import annotations

from typing import Any

import pytest

from runbook_lib.errors import InvalidParameterError, SettingsError, UnknownParameterError
from runbook_lib.settings_sources import load

SECRET_LOOKING = "hunter2-pasted-by-mistake"

BAD: list[tuple[str, Any, str]] = [
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
]


@pytest.mark.parametrize(("name", "value", "says"), BAD, ids=lambda v: str(v)[:30])
def test_a_bad_value_is_a_typed_error_with_a_remedy(name: str, value: object, says: str) -> None:
    with pytest.raises(InvalidParameterError, match=says) as caught:
        load({name: value}, environ={})
    assert name in str(caught.value)
    assert caught.value.remedy
    assert SECRET_LOOKING not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        "iad.ocir.io",
        "localhost:5000",
        "10.244.0.1:5443",
        "[::1]:5000",
        "ocir.us-ashburn-1.oci.oraclecloud.com",
    ],
)
def test_good_hosts_pass(host: str) -> None:
    assert load({"registry": host}, environ={}).registry == host


def test_an_unknown_parameter_names_the_nearest_one() -> None:
    with pytest.raises(UnknownParameterError, match="context") as caught:
        load({"contxt": "x"}, environ={})
    assert isinstance(caught.value, SettingsError)


def test_the_same_registry_twice_is_refused() -> None:
    twice = {"registry": "a.example", "more_registries": [{"registry": "a.example", "credential": "env:X"}]}
    with pytest.raises(InvalidParameterError, match=r"a\.example is given twice"):
        load(twice, environ={})
