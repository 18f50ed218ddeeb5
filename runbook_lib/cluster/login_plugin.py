"""The exec plugin that a kubeconfig logs in with: marked, so that one that hangs can be ended, and no other.

The Kubernetes client waits for its plugin without a bound and keeps the process to itself
(kubernetes-client/python, config/exec_provider.py).
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import psutil
from kubernetes.config.kube_config import ConfigNode

from runbook_lib import marks

_MARK = "BUILDKIT_RUNBOOK_LOGIN"  # not RUNBOOK_…: those are parameters
_GRACE = 1.0


class LoginPlugin:
    """The plugin of one context; each call of it that takes more than `seconds` is ended."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._mark = uuid.uuid4().hex

    def mark(self, config: ConfigNode, context: str) -> None:
        """Have the client start the plugin of `context` with the mark in its environment."""
        user = config["contexts"].get_with_name(context)["context"]["user"]
        plugin = config["users"].get_with_name(user)["user"]["exec"].value
        plugin["env"] = [*(plugin.get("env") or []), {"name": _MARK, "value": self._mark}]

    @contextlib.contextmanager
    def bounded(self) -> Iterator[threading.Event]:
        """End the plugin when the body takes too long, and then set the event; end it with an interrupt, too.

        The client then goes on as with a plugin that failed.
        """
        late = threading.Event()

        def give_up() -> None:
            late.set()
            self.end()

        timer = threading.Timer(self.seconds, give_up)
        timer.daemon = True
        timer.start()
        try:
            yield late
        except (KeyboardInterrupt, SystemExit):
            self.end()
            raise
        finally:
            timer.cancel()
            if late.is_set():
                timer.join()  # nothing of it is left when the caller goes on

    def bound_renewal(self, conf: Any) -> None:  # noqa: ANN401 - the client types its hook as None
        """Bound it also where the client of `conf` calls it again later, because its token has expired."""
        renew = conf.refresh_api_key_hook
        if renew is None:  # what it gave is a certificate: the client does not renew it
            return

        def hook(renewed: Any) -> None:  # noqa: ANN401
            try:
                with self.bounded():
                    renew(renewed)
            finally:
                renewed.refresh_api_key_hook = hook  # the client has put its own there

        conf.refresh_api_key_hook = hook

    def end(self) -> None:
        """End it with everything that it has started."""
        marks.end(self._family, _GRACE)

    def _family(self) -> list[psutil.Process]:
        """Those with the mark, and those below them: what they start may have an environment of its own."""
        found: dict[psutil.Process, None] = {}
        for process, mark in marks.marked(_MARK):
            if mark == self._mark:
                with contextlib.suppress(psutil.NoSuchProcess):
                    found |= dict.fromkeys([process, *process.children(recursive=True)])
        return list(found)
