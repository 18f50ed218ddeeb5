"""The second line of defence for secrets: known values are blanked in everything written out.

The first line is that secrets are never put where they could be written. Values are learnt when a
credential is resolved (`learn`) and live only in this process. A registry hands out a token for every few
requests, each good for minutes: of those only the newest are kept, or a page left open would grow for ever.
"""

from __future__ import annotations

import base64
import json
import threading
import urllib.parse
from collections import deque

BLANK = "[redacted]"
_SHORTEST = 4  # blanking shorter values would shred ordinary text
_lock = threading.Lock()
_PASSING = 64  # short-lived tokens that are remembered; a whole run sees about five
_known: set[str] = set()
_passing: deque[set[str]] = deque(maxlen=_PASSING)


def _forms(value: str) -> set[str]:
    raw = value.encode()
    encoded = {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()}
    forms = {value, urllib.parse.quote(value, safe=""), json.dumps(value)[1:-1], *encoded}
    return {f for f in forms if len(f) >= _SHORTEST}


def learn(value: str, *, passing: bool = False) -> None:
    """Remember a secret and its usual encodings (base64, URL, JSON) for `redact`.

    `passing`: it is a token good for minutes, and forgotten once 64 more of its kind were learnt.
    """
    with _lock:
        if passing:
            _passing.append(_forms(value))
        else:
            _known.update(_forms(value))


def redact(text: str) -> str:
    """Return `text` with every learnt secret replaced by `[redacted]`."""
    with _lock:
        known = sorted(_known.union(*_passing), key=len, reverse=True)
    for secret in known:
        text = text.replace(secret, BLANK)
    return text
