"""What steps say, in the reader's language. Steps speak English and know nothing of languages.

The catalogues `locale/steps/<language>.po` hold templates, `namespace {0} does not exist`, read out of the
sources. A text is matched against them; of all readings the one counts that explains the most letters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from babel.messages.pofile import read_po

from runbook_lib.plan import Action
from runbook_lib.redaction import redact
from runbook_lib.steps.story import PHASES
from runbook_lib.ui import texts

FOLDER = texts.FOLDER / "steps"
_ACTIONS = {one.value for one in Action}  # what applying did, as a message by itself
_HOLE = re.compile(r"\{(\d+)\}")
_WEAK = 8  # a template with fewer letters of its own also fits texts of others
_MOST_PLACES = 8
_LONGEST = 2000  # characters; longer texts are outputs of programs
_SEPARATORS = (
    (" [", " ["),
    ("; ", "；"),
    (": ", "："),
)  # how texts are put together: evidence, lists, subject


@dataclass(frozen=True, slots=True)
class _Template:
    pattern: re.Pattern[str]
    anchor: str  # its longest literal: what lacks it need not be matched
    letters: int
    ends_in_message: bool  # `to do: {0}`: what follows a colon is a message, not a name
    translation: str


def said(text: object) -> str:
    """`text` in the language in use, learnt secrets blanked; as it is where no template fits."""
    shown = redact(str(text))
    language = texts.current()
    return shown if language == "en" else _reading(shown, language)[1]


@cache
def _catalogue(language: str) -> tuple[dict[str, str], tuple[_Template, ...]]:
    path = FOLDER / f"{language}.po"
    if not path.is_file():
        return {}, ()
    with path.open("rb") as file:
        pairs = {str(m.id): str(m.string) for m in read_po(file, language) if m.id and m.string}
    return pairs, tuple(_compiled(k, v) for k, v in pairs.items() if _HOLE.search(k))


def _compiled(template: str, translation: str) -> _Template:
    literals = _HOLE.split(template)[::2]
    pattern = "(.*?)".join(re.escape(one) for one in literals)
    return _Template(
        re.compile(pattern, re.DOTALL),
        max(literals, key=len),
        _letters("".join(literals)),
        not literals[-1] and literals[-2].endswith(": "),
        translation,
    )


@lru_cache(maxsize=4096)
def _reading(text: str, language: str) -> tuple[int, str]:
    """The best reading: how many letters of `text` it explains, and the translation."""
    exact, templates = _catalogue(language)
    bare = text.strip()
    if not bare or len(bare) > _LONGEST:
        return 0, text
    known = exact.get(bare) or (texts.t(bare) if " " in bare or bare in _ACTIONS else bare)
    if known != bare or bare in exact:
        return _letters(bare), text.replace(bare, known)
    best = (0, text)
    for template in templates:
        if template.anchor in bare and (match := template.pattern.fullmatch(bare)):
            best = max(best, _filled(template, match, language), key=lambda r: r[0])
    for separator, shown in _SEPARATORS:
        for head, tail in _splits(bare, separator):
            one, two = _reading(head, language), _reading(tail, language)
            if one[0] + two[0] > best[0]:
                best = (one[0] + two[0], f"{one[1]}{shown}{two[1]}")
    return best


def _splits(text: str, separator: str) -> Iterator[tuple[str, str]]:
    """`text` parted at each place in turn; a long list, which takes long, only at the first."""
    parts = text.split(separator)
    last = len(parts) if len(parts) <= _MOST_PLACES else min(2, len(parts))
    return ((separator.join(parts[:i]), separator.join(parts[i:])) for i in range(1, last))


def _filled(template: _Template, match: re.Match[str], language: str) -> tuple[int, str]:
    values = [_value(v, language) for v in match.groups()]
    if template.ends_in_message:
        values[-1] = _reading(match.groups()[-1], language)
    explained = sum(v[0] for v in values)
    if (
        template.letters < _WEAK
        and not explained
        and (match.start(1) == 0 or any(" " in v for v in match.groups()))
    ):
        return 0, ""
    return template.letters + explained, _HOLE.sub(lambda m: values[int(m[1])][1], template.translation)


def _value(text: str, language: str) -> tuple[int, str]:
    """A value in its place. A single word is a name or a number, and stays; a phase has a name of ours."""
    if text in PHASES:
        return len(text), texts.t(text.capitalize())
    inner = text[1:-1] if text[:1] == text[-1:] == "'" and len(text) > 1 else text
    if " " not in inner.strip():
        return 0, text
    score, shown = _reading(inner, language)
    return (score, shown) if score else (0, text)


def _letters(text: str) -> int:
    return sum(c.isalpha() for c in text)
