"""Where to build: the sandbox, OKE, or another cluster, with what each kubeconfig context is like."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as w

from runbook_lib.errors import RunbookError
from runbook_lib.steps.survey import Target, survey
from runbook_lib.ui import markup
from runbook_lib.ui.buttons import button, fold
from runbook_lib.ui.choices import Choices
from runbook_lib.ui.fields import form
from runbook_lib.ui.texts import t
from runbook_lib.ui.work import Worker

PROFILES = ("sandbox", "oke", "other")
MORE = ("kubeconfig", "name", "kind", "create_namespace", "bin_dir", "run_dir", "request_timeout")


class TargetChooser:
    """Profile and context. `start_sandbox` is called by the button that brings the sandbox up."""

    def __init__(
        self, choices: Choices, profile: str, start_sandbox: Callable[[], None], changed: Callable[[], None]
    ) -> None:
        self._choices, self._changed = choices, changed
        self._looker = Worker(lambda: None, self._unreadable)
        self._targets: tuple[Target, ...] = ()
        spoken = {
            "sandbox": t("Try it in the sandbox"),
            "oke": t("Oracle OKE with OCIR"),
            "other": t("Another cluster"),
        }
        self.profile = w.ToggleButtons(
            options=[(spoken[p], p) for p in PROFILES], value=profile, style={"button_width": "auto"}
        )
        self.profile.add_class("bkr-profiles")
        self.start = button(t("Start the sandbox"), start_sandbox)
        self.sandbox_state = w.HTML()
        self._contexts = w.RadioButtons(options=[], layout=w.Layout(width="auto"))
        self._contexts.add_class("bkr-contexts")
        self._state = w.HTML()
        self._again = button(t("Look again"), self.look)
        self._hint = w.HTML().add_class("bkr-help")
        self._sandbox = w.VBox([w.HTML(_sandbox_text()), w.HBox([self.start, self.sandbox_state])])
        self._cluster = w.VBox([self._hint, self._contexts, w.HBox([self._again, self._state])])
        self._contexts.observe(self._choose, names="value")
        self.profile.observe(self._turn, names="value")
        self.widget = w.VBox(
            [
                self.profile, self._sandbox, self._cluster, form(choices, ["namespace"]),
                fold(t("More about the target"), lambda: form(choices, MORE)),
            ]
        )  # fmt: skip
        self._show()

    def look(self) -> None:
        """Ask all contexts, in a thread of its own: nothing else waits for them."""
        self._state.value = markup.esc(t("Asking the clusters …"))
        self._looker.start(self._look)

    def _look(self) -> None:
        wanted = self._choices.get("kubeconfig")
        base = Choices({"kubeconfig": wanted} if wanted else {})
        self._targets = survey(base.settings())
        options = [(_line(one), one.context) for one in self._targets]
        chosen = self._choices.get("context")
        current = next((one.context for one in self._targets if one.current), None)
        known = [context for _, context in options]
        value = chosen if chosen in known else current if current in known else None
        self._contexts.options = options
        self._contexts.value = value
        self._state.value = _problems(self._targets)

    def _unreadable(self, error: RunbookError) -> None:
        self._contexts.options = []
        self._state.value = markup.failure({"what": error.what, "where": error.where, "remedy": error.remedy})

    def _choose(self, change: dict[str, str]) -> None:
        # An answer that comes after the reader has turned to the sandbox is not for it.
        if change["new"] and self.profile.value != "sandbox":
            self._choices.update({"context": change["new"]})

    def _turn(self, _: object) -> None:
        self._targets = ()  # another profile may mean another kubeconfig
        self._changed()
        self._show()

    def _show(self) -> None:
        sandbox = self.profile.value == "sandbox"
        self._sandbox.layout.display = "" if sandbox else "none"
        self._cluster.layout.display = "none" if sandbox else ""
        self._hint.value = _oke_text() if self.profile.value == "oke" else ""
        if not sandbox and not self._targets:
            self.look()


def _line(target: Target) -> str:
    mark = "✗" if target.problem else "✓"
    if target.problem:
        return f"{mark} {target.context} · {t('not reachable')}"
    nodes = t("nodes: {count}", count=target.nodes) if target.nodes >= 0 else t("nodes not readable")
    return " · ".join([f"{mark} {target.context}", target.version, *target.runtimes, nodes])


def _problems(targets: tuple[Target, ...]) -> str:
    rows = [
        {"status": "fail", "subject": one.context, "message": one.problem, "remedy": one.remedy}
        for one in targets
        if one.problem
    ]
    return markup.findings(rows) if rows else ""


def _sandbox_text() -> str:
    lines = (
        t("A real Kubernetes node, BuildKit and a registry with a login, on this machine (Linux, root)."),
        t("Nothing outside is touched: builder and push stay here, whatever registry is typed."),
        t("The token is filled in for you; you may type one instead."),
    )
    return f'<p class="bkr-help">{"<br>".join(markup.esc(line) for line in lines)}</p>'


def _oke_text() -> str:
    lines = (
        t("Registry: <region-key>.ocir.io, such as iad.ocir.io. Token: an auth token of your OCI user."),
        t("User name: <namespace>/<user>, or <namespace>/<domain>/<user> with an identity domain."),
        t("OCI rules are modelled on Oracle's documents; they are not verified against OCI."),
    )
    return "<br>".join(markup.esc(line) for line in lines)
