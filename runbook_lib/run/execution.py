"""One notebook through papermill, in a thread, so that the main thread stays free to watch and to stop it."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import psutil
from jupyter_client.manager import AsyncKernelManager
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.execute import execute_notebook
from traitlets.config import Config

from runbook_lib.errors import RunError
from runbook_lib.run.failure import STOPPED_KERNEL
from runbook_lib.run.processes import end_processes, kernel_environment, processes_of
from runbook_lib.scratch import scratch_folder

_ENGINE = "runbook"
_START_TIMEOUT = 60  # seconds until a kernel must answer
_INTERRUPT_GRACE = 5.0  # seconds an interrupted cell has to undo what it was at
_FROZEN = 10.0  # seconds for which a kernel may be stopped before nobody waits for it any longer
_END_TIMEOUT = 15.0  # seconds until papermill must have noticed that its kernel is gone


class _KernelManager(AsyncKernelManager):
    """Ends a kernel by asking it to end.

    The base class interrupts it first. papermill ends kernels when no cell is at work, so that interrupt can
    only meet ipykernel between an answer and its end, which makes an error line in the run's output.
    """

    async def _async_interrupt_kernel(self) -> None:
        pass


class _Engine(NBClientEngine):  # type: ignore[misc]  # papermill has no types
    """papermill's own engine, but the kernel gets the environment we choose and can be interrupted.

    It is spoken to over sockets, beside its connection file with the key: TCP ports would be open to other
    users of the machine.
    """

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,  # noqa: ANN401
        kernel_name: str,
        *,
        execution: NotebookExecution,
        **_: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        client = PapermillNotebookClient(
            nb_man,
            kernel_name=kernel_name,
            kernel_manager_class=_KernelManager,
            startup_timeout=_START_TIMEOUT,
            timeout=None,
            config=Config(
                {"KernelManager": {"transport": "ipc", "connection_file": str(execution.connection_file)}}
            ),
        )
        execution.client = client
        return client.execute(env=kernel_environment(execution.run_dir))


papermill_engines.register(_ENGINE, _Engine)


class NotebookExecution:
    """`notebook` is executed into `run_dir` under its own name, with `parameters` injected."""

    def __init__(self, notebook: Path, run_dir: Path, parameters: dict[str, Any]) -> None:
        self.notebook = notebook
        self.run_dir = run_dir
        self.output = run_dir / notebook.name
        self.parameters = parameters
        self.client: Any = None
        self.connection_file = Path()
        self.error: BaseException | None = None
        self._stopped_since: float | None = None
        self._was_frozen = False
        self._thread = threading.Thread(target=self._work, name=f"papermill {notebook.name}", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds`; True when the notebook has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def is_frozen(self) -> bool:
        """True once the kernel has been stopped, as by SIGSTOP, for ten seconds on end."""
        pid = self._kernel_pid()
        try:
            stopped = pid is not None and psutil.Process(pid).status() == psutil.STATUS_STOPPED
        except psutil.Error:
            stopped = False
        now = time.monotonic()
        self._stopped_since = (self._stopped_since or now) if stopped else None
        self._was_frozen = self._stopped_since is not None and now - self._stopped_since >= _FROZEN
        return self._was_frozen

    def _kernel_pid(self) -> int | None:
        manager = getattr(self.client, "km", None)
        pid = getattr(getattr(manager, "provisioner", None), "pid", None)
        return pid if isinstance(pid, int) else None

    def stop(self) -> None:
        """Interrupt the running cell, then end the kernel and all it started. Bounded by half a minute.

        Raises:
            RunError: papermill does not come back although its kernel is gone.
        """
        pid = self._kernel_pid()
        for process in processes_of(self.run_dir):
            if process.pid == pid:
                process.send_signal(2)
        # A stopped kernel would not hear of an interrupt.
        if self._was_frozen or not self.wait(_INTERRUPT_GRACE):
            end_processes(self.run_dir)
        if not self.wait(_END_TIMEOUT):
            raise RunError("papermill did not end with its kernel", where=self.notebook.name)
        end_processes(self.run_dir)

    def cause(self) -> tuple[str, str]:
        """Type name and text of the failure, ("", "") where there was none. Never holds cell source."""
        error = self.error
        if self._was_frozen:
            return STOPPED_KERNEL, f"stopped for {_FROZEN:.0f} s"
        if error is None:
            return "", ""
        if isinstance(error, PapermillExecutionError):
            return str(error.ename), str(error.evalue)
        return type(error).__name__, str(error)

    def _work(self) -> None:
        try:
            with scratch_folder() as folder:
                self.connection_file = folder / "kernel.json"
                execute_notebook(
                    self.notebook,
                    self.output,
                    parameters=self.parameters,
                    engine_name=_ENGINE,
                    progress_bar=False,
                    log_output=False,
                    execution=self,
                )
        except BaseException as e:  # noqa: BLE001  a thread has nobody above it: the main thread reads it
            self.error = e
