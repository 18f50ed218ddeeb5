"""What the soak must hold: one table, by which it is judged and reported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Record = dict[str, Any]


def _grown(record: Record, name: str) -> float:
    """What the line through the measurements gains over the whole time."""
    return float(record[f"{name}_per_hour"]) * float(record["hours"])


def _gained(early_late: list[int]) -> int:
    return early_late[1] - early_late[0]


def _miscounted(record: Record) -> int:
    return abs(int(record["runs_kept"]) - min(int(record["keep_runs"]), int(record["runs"])))


# A figure that is missing, as in records of before, breaks its bound.
# What is measured, of which part of the soak it is, the value, and the most it may be.
_BOUNDS: tuple[tuple[str, str, Callable[[Record], float], float], ...] = (
    ("runs that failed", "runs", lambda r: r["runs_failed"], 0),
    ("runs whose tag the registry does not have", "runs", lambda r: r["runs"] - r.get("runs_served", 0), 0),
    ("processes of ours between two runs, at most", "runs", lambda r: r.get("ours_most", 1), 0),
    ("processes that the sandbox gained", "runs", lambda r: _grown(r, "sandbox_processes"), 0.5),
    (
        "descriptors that sandbox and builder gained, %", "runs",
        lambda r: 100 * _grown(r, "sandbox_descriptors") / r["sandbox_descriptors_last"], 5,
    ),
    ("run folders more or fewer than keep_runs", "runs", _miscounted, 0),
    ("MiB that home and temporary folder gained", "runs", lambda r: _grown(r, "home_size"), 1),
    ("rounds of the page not proven", "page_rounds", lambda r: r["page_rounds"] - r["page_proven"], 0),
    ("memory that the page gains, % an hour", "page_rounds", lambda r: r["page_rss_percent_per_hour"], 1),
    ("descriptors the page gained", "page_rounds", lambda r: _gained(r["page_descriptors_early_late"]), 0),
    ("threads the page gained", "page_rounds", lambda r: _gained(r["page_threads_early_late"]), 0),
    ("builds at once not proven", "builds_at_once", lambda r: r["builds_at_once"] - r["builds_proven"], 0),
    ("builds at once not served", "builds_at_once", lambda r: r["builds_at_once"] - r["builds_served"], 0),
    ("builds at once that hung", "builds_at_once", lambda r: r.get("builds_hung", 0), 0),
    ("processes of theirs left", "builds_at_once", lambda r: r["builds_processes_left"], 0),
    (
        "times the builder's cache could not be measured", "cache_limit",
        lambda r: r.get("cache_unknown", 1), 0,
    ),
    (
        "builder's cache above BuildKit's own limit, MB", "cache_limit",
        lambda r: max(0.0, r["builder_cache_last"] - r["cache_limit"]), 0,
    ),
)  # fmt: skip


def judged(record: Record) -> list[tuple[str, float, float, bool]]:
    """(what, value, most, held) for each bound whose part of the soak was run."""
    found = []
    for what, part, value_of, most in _BOUNDS:
        if record.get(part):
            value = round(value_of(record), 2)
            found.append((what, value, most, value <= most))
    return found
