"""The second line of defence for secrets: known values are blanked in everything written out.

The first line is that secrets are never put where they could be written. Values are learnt when a
credential is resolved (`learn`) and live only in this process.
"""

from __future__ import annotations

import base64
import json
import threading
import urllib.parse

BLANK = "[redacted]"
_SHORTEST = 4  # blanking shorter values would shred ordinary text
_lock = threading.Lock()
_known: set[str] = set()


def _forms(value: str) -> set[str]:
    raw = value.encode()
    encoded = {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()}
    forms = {value, urllib.parse.quote(value, safe=""), json.dumps(value)[1:-1], *encoded}
    return {f for f in forms if len(f) >= _SHORTEST}


def learn(value: str) -> None:
    """Remember a secret and its usual encodings (base64, URL, JSON) for `redact`."""
    with _lock:
        _known.update(_forms(value))


def redact(text: str) -> str:
    """Return `text` with every learnt secret replaced by `[redacted]`."""
    with _lock:
        known = sorted(_known, key=len, reverse=True)
    for secret in known:
        text = text.replace(secret, BLANK)
    return text
