"""Why each step is there, in three lines: the reasoning of the source document."""

from __future__ import annotations

from runbook_lib.ui.markup import esc
from runbook_lib.ui.texts import t


def purpose_of(step: str) -> str:
    """The purpose of `step` as HTML."""
    lines = {
        "install_pod": (
            t("BuildKit turns source code into images, in the cluster: your machine needs no Docker."),
            t("It runs as one Pod, buildkitd. Privileged is the default, because it works on every node."),
            t("Give it a namespace of its own: whoever may build there holds that node."),
        ),
        "configure_auth": (
            t("The builder pushes with a token that your machine fetches: no password goes into the Pod."),
            t("The login is merged into docker's config file; everything else in the file stays as it is."),
            t("It is proven at once, by an upload that is begun and given up."),
        ),
        "fetch_buildctl": (
            t("buildctl sends your source to the builder; its version must suit the daemon's."),
            t("So it is taken from the builder itself, or from a release, and held against its checksum."),
            t("kubectl carries the connection. Both go into a folder of your own."),
        ),
        "test_push": (
            t("A small sample is built in the cluster and pushed. Name your own folder to build that."),
            t("A build that says success is not yet a push:"),
            t("the registry is asked for the tag, its digest and every layer."),
        ),
        "operate": (
            t("What runs, which version it is, how much disk its cache uses, and what its log says."),
            t("Another version (upgrade_to) is planned first, and rolled back where it does not start."),
            t("With prune set, the plan is a preview of what would be removed."),
        ),
        "clean_up": (
            t("What the runbook made is taken away again, and nothing else."),
            t("Logins and programs stay unless you ask for more."),
            t("Pushed images stay in the registry: they are yours."),
        ),
    }[step]
    return "<br>".join(esc(line) for line in lines)
