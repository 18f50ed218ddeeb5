"""The texts of the page in the reader's language: English in the code, others in message catalogues.

The catalogues (`locale/<language>.po`) are read as they are, so that there is no compiled file to forget.
"""

from __future__ import annotations

import gettext
import io
import json
import locale
import os
from functools import cache
from pathlib import Path

from babel import Locale, UnknownLocaleError
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

FOLDER = Path(__file__).parent / "locale"
_LAB_SETTING = ("lab", "user-settings", "@jupyterlab", "translation-extension", "plugin.jupyterlab-settings")
_current: gettext.NullTranslations = gettext.NullTranslations()
_language = "en"


def use(language: str = "") -> str:
    """Switch to `language` (en, zh_CN), or to JupyterLab's or the system's; returns what was chosen."""
    global _current, _language
    chosen = _known(language) or _known(_of_lab()) or _known(_of_system()) or "en"
    _current, _language = _catalogue(chosen), chosen
    return chosen


def current() -> str:
    """The language in use."""
    return _language


def t(text: str, **values: object) -> str:
    """`text` in the language in use; then `values` take the places named in braces."""
    found = _current.gettext(text) if text else ""
    return found.format(**values) if values else found


def languages() -> list[str]:
    """The languages that there are."""
    return ["en", *sorted(p.stem for p in FOLDER.glob("*.po"))]


@cache
def _catalogue(language: str) -> gettext.NullTranslations:
    path = FOLDER / f"{language}.po"
    if not path.is_file():
        return gettext.NullTranslations()
    with path.open("rb") as file:
        catalogue = read_po(file, language)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def _known(language: str) -> str:
    """The language of ours that serves `language` (zh, zh-CN and zh_Hans_CN are all zh_CN), or ""."""
    try:
        wanted = Locale.parse(language.partition(".")[0].replace("-", "_")) if language else None
    except (ValueError, UnknownLocaleError):
        return ""
    return next((n for n in languages() if wanted and Locale.parse(n).language == wanted.language), "")


def _of_lab() -> str:
    """The language chosen in JupyterLab's settings menu, or "" where it is the default."""
    base = Path(os.environ.get("JUPYTER_CONFIG_DIR") or Path.home() / ".jupyter")
    try:
        found = json.loads(base.joinpath(*_LAB_SETTING).read_text(encoding="utf-8")).get("locale", "")
    except (OSError, ValueError, AttributeError):
        return ""
    return "" if found == "default" else str(found)


def _of_system() -> str:
    return os.environ.get("LC_ALL") or os.environ.get("LANG") or locale.getlocale()[0] or ""
