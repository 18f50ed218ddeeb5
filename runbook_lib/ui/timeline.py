"""A picture of the build: when each vertex ran and for how long, as an SVG that follows the theme."""

from __future__ import annotations

from typing import Any

from runbook_lib.ui.markup import esc, seconds
from runbook_lib.ui.texts import t

_WIDTH, _NAMES, _ROW, _TOP = 900, 330, 22, 26
_LONGEST_NAME = 43


def timeline(vertices: list[dict[str, Any]]) -> str:
    """SVG of the vertices {name, begin, seconds, cached}; seconds from the first vertex's start."""
    rows = [v for v in vertices if isinstance(v, dict) and v.get("name")]
    if not rows:
        return ""
    span = max((_number(v, "begin") + _number(v, "seconds") for v in rows), default=0.0) or 1.0
    scale = (_WIDTH - _NAMES - 70) / span
    height = _TOP + _ROW * len(rows) + 6
    body = "".join(_line(v, _TOP + _ROW * i, scale) for i, v in enumerate(rows))
    axis = "".join(_tick(span * k / 4, scale, height) for k in range(5))
    title = esc(t("The build: {count} vertices in {time}", count=len(rows), time=seconds(span)))
    return (
        f'<figure class="bkr-timeline"><figcaption>{title}</figcaption><svg viewBox="0 0 {_WIDTH} {height}" '
        f'role="img" aria-label="{title}">{axis}{body}</svg></figure>'
    )


def _line(vertex: dict[str, Any], y: float, scale: float) -> str:
    name = str(vertex["name"])
    shown = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
    x, width = _NAMES + _number(vertex, "begin") * scale, max(2.0, _number(vertex, "seconds") * scale)
    cached = bool(vertex.get("cached"))
    end = t("CACHED") if cached else seconds(_number(vertex, "seconds"))
    look = "bkr-svg-cached" if cached else "bkr-svg-ran"
    return (
        f"<g><title>{esc(name)}: {esc(end)}</title>"
        f'<text x="{_NAMES - 8}" y="{y + 14}" text-anchor="end">{esc(shown)}</text>'
        f'<rect class="{look}" x="{x:.1f}" y="{y + 3}" width="{width:.1f}" height="14" rx="3"/>'
        f'<text class="bkr-svg-end" x="{x + width + 5:.1f}" y="{y + 14}">{esc(end)}</text></g>'
    )


def _tick(at: float, scale: float, height: int) -> str:
    x = _NAMES + at * scale
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="20" y2="{height}"/>'
        f'<text class="bkr-svg-end" x="{x:.1f}" y="14" text-anchor="middle">{seconds(at)}</text>'
    )


def _number(vertex: dict[str, Any], name: str) -> float:
    value = vertex.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
