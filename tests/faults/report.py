"""The document of the faults, from the results file: `python tests/faults/report.py [--results FILE]`.

Records of every code state are counted, and the states are named. The tables show what was judged by every
look that the harness has today; what was judged before is summed up apart. What was never run is said so.
A round takes most of an hour, and machines come and go: the records stand packed beside the document, and
what a machine's results file holds is added to them.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # what is shared with other tests

import bad_input
from harness import LOOKS, NO_CAUSE
from records import FAULTS_BY_CASE, RECORDS, RESULTS, Record, added_up, judged_anew, key, read
from soak_bounds import judged

DOCUMENT = Path(__file__).parents[2] / "docs" / "faults.md"
_RUNS = ("date", "code", "runs", "failed", "served by the registry", "hours", "median seconds of one")
# What was found to be the cause of bad cases, by the state of the code and words of the fault's name.
_CAUSES = {
    (
        "38a38333de",
        "SIGSTOP the notebook's kernel",
    ): "harness: took a killed writer's temporary file for a leak",
    ("38a38333de", "a clock"): "harness: libfaketime's sleep refuses some moments",
    (
        "38a38333de",
        "SIGKILL containerd",
    ): "harness: its rerun had less time than BuildKit waits for a lost session",
    ("38a38333de", "a black hole"): "product: buildctl lacked the authority for a mirror's tokens",
    ("87c7691c5f", "a black hole"): "product: buildctl lacked the authority for a mirror's tokens",
}
STEPS = ("install_pod", "configure_auth", "fetch_buildctl", "test_push")
_HEAD = """# Faults

Made by `make report` from the results that `make faults` and `make soak` add up; no figure is by hand.
A case strikes one step of the runbook with one fault in one phase, on the sandbox. It is good when it ends in
verified success or in one typed error with a remedy, within 30 s; when a rerun is proven; when no process and
no temporary file is left; and when the login's secret is nowhere but in docker's config.
The kernel of the test machine has no netem: a lost segment is a pause of 200 ms, as TCP would make of it.
"""


def pack(path: Path, records: list[Record]) -> None:
    """Write a packed results file; the same records give the same bytes."""
    text = "".join(json.dumps(r, sort_keys=True) + "\n" for r in records)
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def document(records: list[Record]) -> str:
    """The whole text."""
    kinds: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        kinds[record["kind"]].append(record)
    known = set(FAULTS_BY_CASE)
    found = kinds.pop("case", [])
    ours = [c for c in found if key(c) in known]
    cases = [judged_anew(c) for c in ours if c.get("looks") == LOOKS]
    before = [c for c in ours if c.get("looks") != LOOKS]
    parts = [_HEAD, _origin(records), _totals(cases, len(found) - len(ours), kinds["leaks"])]
    parts += [_before(before), _missed(cases, known), _bad(cases), _table(cases), _bad_input()]
    parts += [_soak(kinds.pop("soak", []))]
    parts += [_sums(kind, found) for kind, found in sorted(kinds.items()) if found]
    return "\n".join(p for p in parts if p).rstrip() + "\n"


def _origin(records: list[Record]) -> str:
    times = sorted(str(r["time"]) for r in records if r.get("time"))
    commits = list(dict.fromkeys(str(r["commit"]) for r in records if r.get("commit")))
    machines = sorted({str(r["machine"]) for r in records if r.get("machine")})
    span = f"{times[0][:16]} to {times[-1][:16]}" if times else "never"
    states = Counter(str(r.get("commit") or "not recorded") for r in records)
    named = ", ".join(f"`{c}` ({states[c]})" for c in commits) or "none"
    return (
        f"- made {datetime.now(UTC):%Y-%m-%d}; results of {span} UTC\n- machine: {'; '.join(machines)}\n"
        f"- states of the code, oldest first, with the number of records: {named}\n"
    )


def _totals(cases: list[Record], left_out: int, leaks: list[Record]) -> str:
    rows = {
        **_judged(cases),
        "places in processes and in the sandbox's logs with the secret": sum(r["found"] for r in leaks),
        "records left out, of cases that the table no longer has": left_out,
    }
    return _rows("Totals", ("what", "count"), rows.items())


def _before(cases: list[Record]) -> str:
    """What an older harness judged, which did not look as closely: counted, and no proof."""
    title = "Judged by the harness of before, which looked less closely"
    return _rows(title, ("what", "count"), _judged(cases).items()) if cases else ""


def _judged(cases: list[Record]) -> dict[str, Any]:
    rounds = Counter(map(key, cases))
    outcomes = Counter(c["outcome"].partition(" (")[0] for c in cases)
    least, most = (min(rounds.values()), max(rounds.values())) if rounds else (0, 0)
    return {
        "different cases": len(rounds),
        "cases run": len(cases),
        "rounds of each case, least and most": f"{least}, {most}",
        "of them struck while the step was in that phase": sum(c["struck"] for c in cases),
        "ended in verified success": outcomes["proven"],
        "of them looked at before the rerun, too": sum(
            c["outcome"] == "proven" and _at_once(c) for c in cases
        ),
        "ended in one typed error": outcomes["typed error"],
        "ended by the kill itself": outcomes["killed"],
        "hangs": outcomes["hang"],
        "errors after more than 30 s": outcomes["late error"],
        "false successes": outcomes["false success"],
        "untyped errors": outcomes["untyped"],
        "errors that no fault was the cause of": outcomes[NO_CAUSE],
        "reruns that were not proven": sum(c["rerun"] != "proven" for c in cases),
        "with a process or a file left behind": sum(bool(c["left"]) for c in cases),
        "with the secret where it does not belong": sum(bool(c.get("leaked")) for c in cases),
        "where a step before had to be mended more than once": sum(bool(c.get("healing")) for c in cases),
        "where the sandbox itself could not be mended": outcomes["harness"],
    }


def _at_once(case: Record) -> bool:
    """Records of before `at_once` looked at two steps' work after the rerun alone."""
    return bool(case.get("at_once")) or case["step"] in ("configure_auth", "test_push")


def _table(cases: list[Record]) -> str:
    """Fault by step: how often each outcome, and the longest time from the strike to the end."""
    rows = []
    for fault in dict.fromkeys(c["fault"] for c in cases):
        rows.append(
            (fault, *(_cell(c for c in cases if (c["fault"], c["step"]) == (fault, s)) for s in STEPS))
        )
    return _rows("Fault by step", ("fault", *STEPS), rows)


def _cell(cases: Iterable[Record]) -> str:
    found = list(cases)
    counted = Counter(c["outcome"].partition(" (")[0] if c["good"] else "**bad**" for c in found)
    said = ", ".join(f"{n} {o}" for o, n in counted.most_common())
    return f"{said}; {max(c['seconds'] for c in found):.1f} s" if found else ""


def _missed(cases: list[Record], known: set[tuple[str, str, str]]) -> str:
    """Cases that were never run, or never struck: nothing is known of them."""
    struck, run = {key(c) for c in cases if c["struck"]}, {key(c) for c in cases}
    rows = [
        (f"{s} {p}", f, "never struck" if (s, p, f) in run else "never run")
        for s, p, f in sorted(known - struck)
    ]
    return _rows("Not known", ("where", "fault", "why"), rows) if rows else ""


def _bad_input() -> str:
    """How many rows `make test` tries, each a typed error with a remedy."""
    return _rows("Bad input", ("what", "count"), [("cases tried by `make test`", len(bad_input.ROWS))])


def _soak(records: list[Record]) -> str:
    """The newest record of each part, and whether its bounds are held."""
    newest: Record = {}
    for record in records:
        newest |= record
    shown = {k: v for k, v in newest.items() if k not in ("kind", "time", "machine", "commit")}
    bounds = [(w, f"{v:g}", f"{m:g}", "yes" if held else "**no**") for w, v, m, held in judged(newest)]
    if not bounds:
        return ""
    told = _rows("Soak: the newest of each part", ("bound", "seen", "at most", "held"), bounds)
    told += "\n" + _rows("Soak: whole runs in a row, every time", _RUNS, _whole_runs(records))
    return told + "\n" + _rows("Soak, all figures", ("what", "value"), sorted(shown.items()))


def _whole_runs(records: list[Record]) -> Iterable[tuple[str, ...]]:
    for record in records:
        if "runs" in record:
            served = str(record.get("runs_served", "not asked for"))
            times = (str(record.get("hours", "")), str(record.get("run_seconds_median", "")))
            where = (str(record.get("time", ""))[:10], f"`{record.get('commit', '')}`")
            yield (*where, str(record["runs"]), str(record["runs_failed"]), served, *times)


def _bad(cases: list[Record]) -> str:
    rows = []
    for case in (c for c in cases if not c["good"]):
        why = f"{case['outcome']}; rerun {case['rerun']}" + "; left behind" * bool(case["left"])
        why += "; secret found" * bool(case.get("leaked"))
        where = f"{case['step']} {case['phase']}"
        since = sum(c["good"] for c in cases if key(c) == key(case) and str(c["time"]) > str(case["time"]))
        code = f"`{case.get('commit', '')}`"
        known = (c for (at, f), c in _CAUSES.items() if case.get("commit") == at and f in case["fault"])
        rows.append(
            (where, case["fault"], why[:200].replace("|", "/"), code, next(known, "not known"), since)
        )
    heads = (
        "where",
        "fault",
        "what",
        "code",
        "cause, mended since where it is known",
        "times it was good since then",
    )
    return _rows("The bad ones", heads, rows) if rows else ""


def _sums(kind: str, records: list[Record]) -> str:
    """Other kinds: sums of their counts, and the last value of what is not one."""
    sums: dict[str, Any] = {"records": len(records)}
    for record in records:
        for name, value in record.items():
            if name in ("kind", "time", "machine", "commit"):
                continue
            is_count = isinstance(value, int) and not isinstance(value, bool)
            sums[name] = sums.get(name, 0) + value if is_count else value
    return _rows(kind.replace("_", " ").capitalize(), ("what", "value"), sums.items())


def _rows(title: str, heads: tuple[str, ...], rows: Iterable[Iterable[Any]]) -> str:
    lines = [f"## {title}", "", "| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    parser.add_argument("--records", type=Path, default=RECORDS, help="what was added up before")
    options = parser.parse_args()
    records = added_up(read(options.records), read(options.results))
    pack(options.records, records)
    options.document.write_text(document(records))
    print(options.document)


if __name__ == "__main__":
    main()
