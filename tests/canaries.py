"""Looking for a secret in everything that was written, in each form in which it could have been."""

from __future__ import annotations

import base64
import html
import json
import re
import threading
import urllib.parse
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import psutil

_CORE = 12  # letters and digits that no other text has by chance


def forms_of(username: str, token: str) -> dict[str, bytes]:
    """The secret raw, in base64 alone and as docker's `auth`, URL-encoded, and escaped as JSON and as HTML.

    `core` is its longest run of letters and digits, which no escape changes; `base64 at N` is that run inside
    a longer text in base64, by where it begins in a group of three bytes.
    """
    pair = f"{username}:{token}"
    core = max(re.findall(r"[A-Za-z0-9]+", token), key=len)
    texts = {
        "raw": token,
        "base64": base64.b64encode(token.encode()).decode().rstrip("="),
        "auth": base64.b64encode(pair.encode()).decode(),
        "url": urllib.parse.quote(token, safe=""),
        "json": json.dumps(token)[1:-1],
        "html": html.escape(token),
    }
    if len(core) >= _CORE:
        texts["core"] = core
        texts |= {f"base64 at {n}": _inside_base64(core, n) for n in range(3)}
    return {name: text.encode() for name, text in texts.items()}


def _inside_base64(text: str, offset: int) -> str:
    """The part of the encoding that does not depend on what stands before and behind."""
    encoded = base64.b64encode(b"\0" * offset + text.encode()).decode()
    begin = (0, 2, 3)[offset]
    return encoded[begin : (offset + len(text)) // 3 * 4]


def hits(folder: Path, forms: dict[str, bytes]) -> list[str]:
    """`file: form` for every file below `folder` that holds a form."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            found += [f"{path}: {name}" for name, form in forms.items() if form in content]
    return found


def stray(found: list[str], *belongs: Path) -> list[str]:
    """Those of `hits` that are not docker's `auth` in one of these files."""
    known = tuple(f"{path}: {form}" for path in belongs for form in ("auth", "base64 at"))
    return [hit for hit in found if not hit.startswith(known)]


class Watch(ABC):
    """Looks at all processes over and over while its block runs; `seen` holds what `look` found."""

    pause = 0.1  # seconds between two looks

    def __init__(self, forms: dict[str, bytes]) -> None:
        self.seen: set[str] = set()
        self.forms = forms
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @abstractmethod
    def look(self) -> Iterator[str]: ...

    def _work(self) -> None:
        while not self._stop.wait(self.pause):
            self.seen.update(self.look())


class ArgvWatch(Watch):
    """Reads every process's argument list; `seen` holds those with a form in them, `looked` is the count."""

    looked = 0

    def look(self) -> Iterator[str]:
        forms = [form.decode() for form in self.forms.values()]
        for process in psutil.process_iter():
            try:
                words = process.cmdline()
            except psutil.Error:
                continue
            self.looked += 1
            yield from (words[0] for word in words if any(form in word for form in forms))
