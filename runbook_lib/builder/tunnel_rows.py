"""Kinds of failed builds as a table of what kubectl says, through which buildctl reaches the daemon.

The first row whose pattern is found wins. Texts were seen with kubectl v1.37.
"""

from __future__ import annotations

from runbook_lib.builder.failure_rows import POD, lost, row

# What kubectl wrote to its error stream, or how it ended where it wrote nothing.
# Only where the stream died is the connection lost: a refusal stays one, however often it is asked.
KUBECTL = (
    row(
        r"getting credentials: |exec plugin",
        "kubectl does not get this identity's credential",
        "log in again with the cluster's own tool, and see that it is on PATH (OKE: oci)",
        POD,
    ),
    row(
        r"must be logged in to the server|has asked for the client to provide credentials|\bunauthorized\b",
        "the API server does not know this identity (401)",
        "the token may have expired: log in again, or write the kubeconfig anew",
        POD,
    ),
    row(
        r"\(forbidden\)|is forbidden|\bforbidden \(user=",
        "this identity may not exec into the builder Pod",
        "have an administrator apply manifests/role.build.yaml in this namespace; it binds a ServiceAccount,"
        " so a person is bound by: kubectl create rolebinding buildkit-build-me --role=buildkit-build"
        " --user='<your user>' (its name: kubectl auth whoami)",
        POD,
    ),
    row(
        r'\b(pods|namespaces) "[^"]*" not found|in a completed pod',
        "the builder Pod is not there, or has ended",
        "run notebook 01 first",
        POD,
    ),
    row(
        r"x509:|tls: failed to verify|\bcertificate has expired",
        "the certificate of the API server does not verify",
        "check certificate-authority in the kubeconfig, or write it anew for this cluster",
        POD,
    ),
    row(
        r'\b(context|cluster) "[^"]*" does not exist|error loading config file|error in configuration'
        r"|invalid configuration|auth info .* does not exist",
        "the kubeconfig cannot be used",
        "renew the kubeconfig of this cluster",
        POD,
    ),
    row(
        r"container \S+ is not valid for pod|executable file not found|terminated with exit code 12[67]\b",
        "the builder Pod has no container in which buildctl runs",
        "give an image of BuildKit in the parameter image, and run notebook 01 again",
        POD,
    ),
    lost(
        r"^(?:exit status \d+)?$|error dialing backend|was refused|connection refused|timeout|timed out"
        r"|deadline exceeded|reset by peer|broken pipe|\bEOF\b|error reading from error stream|stream error"
        r"|\bhttp2: |goaway|lost connection|killed|\bsignal: |terminated with exit code (1|137|143)\b"
        r"|container not found|pod does not exist|no route to host|network is unreachable"
        r"|closed network connection|buildkitd\.sock"
    ),
    row(
        r"no such host|unable to connect to the server|server misbehaving",
        "the API server does not answer",
        "check the address, VPN or bastion, and that the cluster runs; then try again",
        POD,
    ),
    row(
        r"bad gateway|service unavailable|gateway time-?out|\(internalerror\)|\(serviceunavailable\)"
        r"|upstream connect error|\(toomanyrequests\)|an error on the server|unable to upgrade connection: <",
        "the API server, or a proxy before it, is not able to answer now",
        "wait a minute and try again",
        POD,
    ),
    row(
        r".*",
        "kubectl does not reach the builder",
        "check that the builder pod runs and that `kubectl exec` into it is allowed",
        POD,
    ),
)
