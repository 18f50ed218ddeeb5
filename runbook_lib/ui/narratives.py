"""The story of each step: what its notebook says in prose, in the reader's language."""

from __future__ import annotations

from runbook_lib.ui.markup import esc
from runbook_lib.ui.texts import t

# The keys of the catalogues: (why, what happens, what is proven), in the sentences of the notebooks.
NARRATIVES: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "install_pod": (
        (
            "A build mounts file systems and starts containers inside its own "
            "container. The kernel allows that only to a privileged container, unless"
            " more is set up first.",
            "So privileged is the default: it works on every ordinary node. It also "
            "means that whoever may run builds here holds that node.",
            "The image name is written out in full, with its registry and a fixed "
            "version. A fixed version also keeps builder and client in step.",
        ),
        (
            "The check asks the cluster for its version, for the namespace, for your "
            "permissions, and for anything that already bears the builder's name. "
            "Nothing has changed so far, and nothing changes here.",
            "The plan shows what would change, as a diff, and the commands that do "
            "the same by hand. You can stop here and type them yourself.",
            "Apply sets the objects and waits until the builder is ready. If the Pod "
            "does not come up, the error says why (image, quota, node, admission) and"
            " what to do.",
        ),
        (
            "A Pod that is Running proves little. Verification asks the daemon "
            "itself, inside the Pod, for its workers and its version.",
            "Planning again must find nothing left to do.",
        ),
    ),
    "configure_auth": (
        (
            "BuildKit reads registry logins from one file, config.json in ~/.docker "
            "or in $DOCKER_CONFIG. Docker need not be there.",
            "The client reads it. buildctl fetches a short-lived token with your "
            "login and hands only that to the builder. A registry with Basic "
            "authentication has no such token: there the builder gets the login itself.",
            "Base64 is an encoding and not a lock: whoever reads the file has the "
            "password. So the file is readable by you alone.",
        ),
        (
            "The check reads only. It looks at the user name's form, at where the "
            "token is, at the config file, and at the registry's certificate and "
            "answer.",
            "The plan shows the entry that would be written, with its secret left "
            "out, and the commands that do the same by hand.",
            "The file is replaced in one step, so a crash leaves the old file or the "
            "new one, never half of one. The file may already hold other logins and "
            "settings. They stay as they are.",
        ),
        (
            "HTTP 200 is no proof. A wrong password may be answered with a token for "
            "nobody. So verification asks for a token that can push, and looks at "
            "what it got.",
            "An upload is begun and given up. Planning again must find nothing left "
            "to write: what is in the file is what was asked for.",
        ),
    ),
    "fetch_buildctl": (
        (
            "buildctl sends a build to the daemon. It reaches the Pod by an address "
            "such as kube-pod://buildkitd: no Service, no open port, no certificate "
            "of its own.",
            "Behind that address it starts kubectl exec and talks to the daemon "
            "through it. kubectl must be there too, and on PATH. Whoever may exec "
            "into the Pod may build.",
        ),
        (
            "The check reads only. It looks for the builder, for programs that are "
            "already here, and for a folder that can take new ones.",
            "The plan shows where each program would come from and where it would go."
            " Every file is checked before it is used: its length, its sha256 where "
            "one is known, its platform, and whether it runs.",
            "Programs are fetched beside their final place, checked, and then moved there in one step.",
        ),
        (
            "Verification runs both programs, and asks the daemon for its workers "
            "through kube-pod://. The client's version must fit the daemon's.",
            "Planning again must find nothing left to fetch.",
        ),
    ),
    "test_push": (
        (
            "buildctl sends a folder to the builder. The builder runs the Dockerfile "
            "and pushes the result with the token that your machine fetched.",
            "BuildKit can keep its intermediate results in a registry. The procedure "
            "that this runbook follows says that OCIR does not take them.",
            "With an OCIR host, an export of type registry or inline is refused "
            "before the build. local_cache keeps the cache in a folder on this "
            "machine instead. It works everywhere.",
            "With run_image the pushed image is run once, as a Pod beside the builder. "
            "So that the node can pull it, your login lies in the namespace as the "
            "Secret <name>-run until that Pod has ended; then both are removed.",
        ),
        (
            "The check reads only. It looks for the builder, both programs, the "
            "login, the build context and its Dockerfile, and for cache options that "
            "would not work.",
            "The plan is the build as one command. It holds no secret.",
            "Apply ends when the push is done, when the build fails, or when nothing "
            "has moved for stall_timeout seconds.",
        ),
        (
            "A build that says success is not yet a push. Verification asks the "
            "registry for the tag and compares its digest with the one that the "
            "builder reported. Then it asks for every layer.",
            "The digest names the content: whoever pulls it gets these bytes or an "
            "error. The run journal keeps it.",
        ),
    ),
    "operate": (
        (
            "A version that does not become Ready within ready_timeout is rolled back"
            " by itself. To go back later, set upgrade_to to the earlier version.",
            "A builder cannot change its mode in place: it is made anew, and its "
            "cache is lost, as are builds that are running. So two parameters are "
            "needed: mode says where to, and allow_replace that the loss is meant.",
        ),
        (
            "The check tells the Pod's state, the daemon's version and workers, the "
            "disk that its cache uses, and the last lines of its log. Where the "
            "builder is not Ready, it says why, with the remedy.",
            "With the defaults nothing would change. Otherwise the plan is the change"
            " of the builder as a diff, with what is lost by it; the probes; and what"
            " a prune would remove.",
            "The order is that of the plan: version or mode, probes, prune. A prune "
            "leaves running builds what they use; the next build makes again what it "
            "misses.",
        ),
        (
            "The daemon is asked again: it must answer, have the version and the mode"
            " asked for, and nothing that was to go may be left.",
            "Planning again must find nothing left to do.",
        ),
    ),
    "clean_up": (
        (
            "Every object that the runbook makes in the cluster carries the label "
            "app.kubernetes.io/managed-by: buildkit-runbook. Only objects with that "
            "label go, and only those of the builder named here.",
        ),
        (
            "The check reads only. It looks for the builder's objects and whether "
            "they are the runbook's, and whether you may delete them.",
            "The plan shows what would go, and the commands that do the same by hand.",
            "Running builds end with the builder. Apply waits until the cluster says "
            "that the objects are gone.",
        ),
        (
            "Verification looks for what should be gone.",
            "Planning again must find nothing left to remove.",
        ),
    ),
}


def narrative_of(step: str) -> str:
    """Why, what happens and what is proven, as HTML; the purpose stands on the step's card."""
    why, happens, proven = NARRATIVES[step]
    parts = ((t("Why"), why), (t("What happens"), happens), (t("What is proven"), proven))
    return "".join(f"<h3>{esc(head)}</h3><ul>{_items(lines)}</ul>" for head, lines in parts)


def _items(lines: tuple[str, ...]) -> str:
    return "".join(f"<li>{esc(t(line))}</li>" for line in lines)
