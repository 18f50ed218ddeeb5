"""Keys and certificates that a kubeconfig embeds stay in memory.

The Kubernetes client knows them by file name only and writes each to a temporary file, which it removes when
the interpreter ends in good order: a process that is killed leaves a private key on the disk
(kubernetes-client/python, config/kube_config.py, `_create_temp_file_with_content`). Linux has files without a
disk, memfd_create(2), which end with their process; elsewhere the client's own way is kept.
"""

from __future__ import annotations

import os
from pathlib import Path

from kubernetes.config import kube_config

_known: dict[bytes, str] = {}


def keep_in_memory() -> None:
    """Let the client, from now on, put embedded keys and certificates into memory where that is possible."""
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        kube_config._create_temp_file_with_content = _file_in_memory


def _file_in_memory(content: str | bytes, _folder: str | None = None, force_recreate: bool = False) -> str:
    """A name under which this process, and no other, can open `content`."""
    data = content.encode() if isinstance(content, str) else content
    if data not in _known or force_recreate:
        descriptor = os.memfd_create("kubeconfig")
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(data)
        _known[data] = f"/proc/self/fd/{descriptor}"
    return _known[data]
