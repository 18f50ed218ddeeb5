"""Where to push: registry, user name, and the token, which stays in this kernel's memory."""

from __future__ import annotations

import ipywidgets as w

from runbook_lib import credentials
from runbook_lib.ui.choices import Choices
from runbook_lib.ui.fields import form
from runbook_lib.ui.secret import SecretField
from runbook_lib.ui.texts import t

VARIABLE = "BUILDKIT_RUNBOOK_TOKEN"
FIELDS = ("registry", "registry_username", "repository")
MORE = ("registry_credential", "registry_ca", "registry_flavor")


class RegistryBox:
    """The fields of the registry. `renewed` is True from a new token until it has been used."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices
        self.renewed = False
        self.secret = SecretField(
            self._take, label=t("auth token"), placeholder=t("type or paste it, then Enter")
        )
        choices.watch(self._changed)
        self._note()
        self.widget = w.VBox([form(choices, FIELDS), self.secret])

    def forget(self) -> None:
        """Let go of the token that was typed: it belongs to what was chosen before."""
        credentials.forget(VARIABLE)
        self.renewed = False
        self._note()

    def _take(self, value: str) -> None:
        self._choices.update({"registry_credential": str(credentials.keep(VARIABLE, value))})
        self.renewed = True
        self._note()

    def _changed(self, name: str) -> None:
        if name == "registry_credential":
            self._note()

    def _note(self) -> None:
        reference = str(self._choices.get("registry_credential"))
        if reference == f"env:{VARIABLE}":
            kept = credentials.is_kept(VARIABLE)
            self.secret.note = (
                t("Taken. It is kept in this kernel's memory only, and is nowhere on the page any more.")
                if kept
                else t("The token went with the kernel that had it: type it again, unless the login is done.")
            )
        elif reference:
            self.secret.note = t(
                "Taken from {reference}; a token typed here is used instead.", reference=reference
            )
        else:
            self.secret.note = t("It leaves this field at once and is never saved with the notebook.")
