"""The story of each step: what its notebook says in prose, in the reader's language."""

from __future__ import annotations

from runbook_lib.ui.markup import esc
from runbook_lib.ui.texts import t

# The keys of the catalogues: (why, what happens, what is proven), in the sentences of the notebooks.
NARRATIVES: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "install_pod": (
        (
            "A build mounts file systems and starts containers inside its own container. Only a "
            "privileged container may do that, unless more is set up first.",
            "So privileged is the default. Where nodes allow user namespaces, the modes userns and "
            "rootless confine the builder more.",
            "The image name is written out in full and with a fixed version: nodes with CRI-O may "
            "refuse short names, and client and builder must fit each other.",
        ),
        (
            "Check asks the cluster for its version, the namespace, your permissions, and what "
            "already bears the builder's name. Nothing changes.",
            "Plan shows the objects as a diff, and the commands that do the same by hand. You can "
            "stop there.",
            "Apply sets the objects and waits until the builder is ready. If it does not come up, the"
            " error says why and what to do.",
        ),
        (
            "A Pod that is Running proves little: the daemon itself is asked, inside the Pod, for its"
            " workers and its version.",
            "Planning again must find nothing left to do.",
        ),
    ),
    "configure_auth": (
        (
            "BuildKit reads registry logins from one file, config.json in ~/.docker or in "
            "$DOCKER_CONFIG. Docker need not be there.",
            "The client reads it, on this machine: it fetches a short-lived token and hands only that"
            " to the builder.",
            "The file holds the password in base64, which is an encoding and not a lock. So it is "
            "readable by you alone.",
        ),
        (
            "Check looks at the user name's form, at where the token is, at the file, and at the "
            "registry's certificate and answer.",
            "Plan shows the entry that would be written, with its secret left out.",
            "Apply replaces the file in one step: a crash leaves the old file or the new one, never "
            "half of one. Other entries stay.",
        ),
        (
            "HTTP 200 is no proof: a wrong password may be answered with a token for nobody. So a "
            "token that can push is asked for, and looked at.",
            "An upload is begun and given up. Planning again must find nothing left to write.",
        ),
    ),
    "fetch_buildctl": (
        (
            "buildctl reaches the Pod by an address such as kube-pod://buildkitd: no Service, no open"
            " port, no certificate of its own.",
            "Behind that address it starts kubectl exec. So kubectl must be there too, and whoever "
            "may exec into the Pod may build.",
        ),
        (
            "Check looks for the builder, for programs that are already here, and for a folder that "
            "can take new ones.",
            "Plan shows where each program would come from: the running builder, PATH, a release file"
            " of yours, or the BuildKit releases.",
            "Apply fetches beside the final place, checks length, checksum and platform, and then "
            "moves the program there in one step.",
        ),
        (
            "Both programs run, the daemon is asked for its workers through kube-pod://, and the "
            "client's version fits the daemon's.",
            "Planning again must find nothing left to fetch.",
        ),
    ),
    "test_push": (
        (
            "Only a build that was pushed and found again proves that builder, login and client work "
            "together.",
            "The procedure that this runbook follows says that OCIR takes no registry cache. So with "
            "OCIR such an export is refused before the build; local_cache works everywhere.",
        ),
        (
            "Check looks for the builder, both programs, the login, the build context and its "
            "Dockerfile, and for cache options that would not work.",
            "Plan is the build as one command. It holds no secret.",
            "Apply ends when the push is done, when the build fails, or when nothing has moved for "
            "stall_timeout seconds.",
        ),
        (
            "The registry is asked for the tag; its digest must be the one that the builder reported."
            " Then it is asked for every layer.",
            "The digest names the content: whoever pulls it gets these bytes or an error. The run "
            "journal keeps it.",
        ),
    ),
    "operate": (
        (
            "A builder keeps intermediate results, so that the next build is fast. They take disk "
            "space until somebody removes them.",
            "To upgrade, roll back or change the mode, run Install the builder with another image or "
            "mode: its plan shows the change first.",
        ),
        (
            "Check tells the Pod's state, the daemon's version and workers, the disk that its cache "
            "uses, and the errors in its log.",
            "Plan is the preview: with prune set, every record that would go, with its size. Without "
            "it nothing would change.",
            "Apply removes them. The next build makes again what it misses.",
        ),
        ("The daemon is asked again: it must answer, and nothing that was to go may be left.",),
    ),
    "clean_up": (
        (
            "Every object that the runbook makes in the cluster carries its label. Only objects with "
            "that label go, and only those of the builder named here.",
        ),
        (
            "Check looks for the builder's objects, whether they are the runbook's, and whether you "
            "may delete them.",
            "Plan shows what would go, and the commands that do the same by hand.",
            "Apply removes it and waits until the cluster says that it is gone. Running builds end "
            "with the builder.",
        ),
        ("What should be gone is looked for, and planning again must find nothing left to remove.",),
    ),
}


def narrative_of(step: str) -> str:
    """Why, what happens and what is proven, as HTML; the purpose stands on the step's card."""
    why, happens, proven = NARRATIVES[step]
    parts = ((t("Why"), why), (t("What happens"), happens), (t("What is proven"), proven))
    return "".join(f"<h3>{esc(head)}</h3><ul>{_items(lines)}</ul>" for head, lines in parts)


def _items(lines: tuple[str, ...]) -> str:
    return "".join(f"<li>{esc(t(line))}</li>" for line in lines)
