"""Faults for tests: which requests they hit, what they do, and the table that hands them out."""

import itertools
import random
import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from sandbox.double.replies import BodyStyle


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Latency(_Model):
    """Wait before anything else happens; adds to any other fault."""

    kind: Literal["latency"] = "latency"
    milliseconds: Annotated[int, Field(ge=1, le=600_000)]


class Status(_Model):
    """Answer with this status instead of asking distribution; `retry_after` is in seconds."""

    kind: Literal["status"] = "status"
    status: Annotated[int, Field(ge=400, le=599)]
    retry_after: Annotated[int, Field(ge=0)] | None = None
    body: BodyStyle = "registry"
    code: str = ""
    message: str = "injected fault"


class Cut(_Model):
    """Cut the client's connection after so many body bytes; 0 on the response side: before its headers."""

    kind: Literal["cut"] = "cut"
    side: Literal["request", "response"] = "response"
    after_bytes: Annotated[int, Field(ge=0)] = 0


class BlackHole(_Model):
    """Never answer; after `seconds`, or when the fault is cleared, the connection is cut."""

    kind: Literal["black_hole"] = "black_hole"
    seconds: Annotated[float, Field(gt=0, le=600)] = 60


class Corrupt(_Model):
    """Flip a bit in the first byte of the body, of the request or of the response."""

    kind: Literal["corrupt"] = "corrupt"
    side: Literal["request", "response"] = "response"


class WrongDigest(_Model):
    """Answer as distribution does, but name another digest in Docker-Content-Digest."""

    kind: Literal["wrong_digest"] = "wrong_digest"


class MovedTag(_Model):
    """Serve the manifest `to` (a tag or digest of the repository) when one is asked for by tag."""

    kind: Literal["moved_tag"] = "moved_tag"
    to: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:-]*$")]


class ExpiredToken(_Model):
    """Let the token endpoint hand out a token that ended an hour ago, and say nothing of it."""

    kind: Literal["expired_token"] = "expired_token"


Action = Annotated[
    Latency | Status | Cut | BlackHole | Corrupt | WrongDigest | MovedTag | ExpiredToken,
    Field(discriminator="kind"),
]


class Fault(_Model):
    """A fault and the requests it hits.

    `path` is a regular expression searched in the path (no query); the first `after` matches pass unharmed;
    `times` bounds how often it strikes (None: always); `probability` applies to each match after that.
    """

    action: Action
    method: str | None = None
    path: str = ""
    after: Annotated[int, Field(ge=0)] = 0
    times: Annotated[int, Field(ge=1)] | None = None
    probability: Annotated[float, Field(gt=0, le=1)] = 1.0

    @field_validator("path")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return value


@dataclass
class _Entry:
    fault: Fault
    dice: random.Random
    matched: int = 0
    struck: int = 0


@dataclass(frozen=True)
class Strike:
    """What one request suffers: a delay in seconds, at most one other action, and the id of that fault."""

    delay: float = 0.0
    action: Action | None = None
    fault_id: int | None = None


class FaultTable:
    """The faults in force, in the order they were added."""

    def __init__(self) -> None:
        self._entries: dict[int, _Entry] = {}
        self._ids = itertools.count(1)

    def add(self, fault: Fault) -> int:
        """Put a fault in force and return its id; its dice are seeded by the id, so a run can be repeated."""
        number = next(self._ids)
        self._entries[number] = _Entry(fault, random.Random(number))  # noqa: S311 - no secret depends on it
        return number

    def remove(self, number: int) -> bool:
        """Take a fault out of force; False if there is none of this id."""
        return self._entries.pop(number, None) is not None

    def clear(self) -> None:
        """Take every fault out of force."""
        self._entries.clear()

    def active(self, number: int) -> bool:
        """Whether the fault of this id is still in force."""
        return number in self._entries

    def describe(self) -> list[dict[str, object]]:
        """Each fault with its id, how many requests matched it and how many it struck."""
        return [
            {"id": number, "matched": entry.matched, "struck": entry.struck, **entry.fault.model_dump()}
            for number, entry in self._entries.items()
        ]

    def strike(self, method: str, path: str) -> Strike:
        """What this request suffers: delays add up, of the other faults the first that strikes wins."""
        delay, action, fault_id = 0.0, None, None
        for number, entry in self._entries.items():
            latency = isinstance(entry.fault.action, Latency)
            if (action is not None and not latency) or not _hits(entry, method, path):
                continue
            if isinstance(entry.fault.action, Latency):
                delay += entry.fault.action.milliseconds / 1000
            else:
                action, fault_id = entry.fault.action, number
        return Strike(delay, action, fault_id)


def _hits(entry: _Entry, method: str, path: str) -> bool:
    fault = entry.fault
    if (fault.method and fault.method.upper() != method) or not re.search(fault.path, path):
        return False
    entry.matched += 1
    if entry.matched <= fault.after or (fault.times is not None and entry.struck >= fault.times):
        return False
    if fault.probability < 1 and entry.dice.random() >= fault.probability:
        return False
    entry.struck += 1
    return True
