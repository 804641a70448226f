"""Words of a command line that name files of a user's own: ``generator=FOLDER/my_file.py:MyGenerator``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

from ganlab.core import code_file, code_files, kinds
from ganlab.core.errors import GanlabError

# options that name components, beside the kinds themselves
_OTHERS = {
    "evaluate.metrics": "metric", "evaluate.features": "features", "metrics": "metric", "features": "features",
    "what": "watch",
}  # fmt: skip
_TOKEN = re.compile(r"""(?P<quote>["'])(?P<quoted>.*?)(?P=quote)|(?P<bare>[^\[\],"'\s]+)""")


def allowed(words: Iterable[str]) -> list[str]:
    """Let the files be run that words name with a component, and return the words without the files' folders.

    Raises:
        GanlabError: If a file cannot be read, or a word names no component of it.
    """
    return [_allowed(word) for word in words]


def value(key: str, given: Any) -> Any:
    """The value of an option, in which files may be named: text, or a list of it."""
    if isinstance(given, list | tuple):
        return [value(key, one) for one in given]
    return _allowed(f"{key}={given}").partition("=")[2] if isinstance(given, str) else given


def typed(components: Iterable[str]) -> list[str]:
    """The words by which another process may run the files that this one may.

    Args:
        components: Names of all that it uses.
    """
    now, used = code_files.allowed(), code_files.used(components)
    paths = [f'"{file.path}"' for name, file in now.files.items() if name in used]
    accepting = [f"{code_files.CHANGED}={code_files.ACCEPT}"] if now.accepts else []
    return [f"{code_files.OPTION}=[{','.join(paths)}]", *accepting] if paths else []


def paths(text: str) -> list[str]:
    """The files of ``code=``: one, or ``[FILE.py,FILE.py]``."""
    if os.path.exists(os.path.expanduser(text)) or not text.startswith("["):
        return [text]
    return [found["bare"] if found["quoted"] is None else found["quoted"] for found in _TOKEN.finditer(text)]


def _allowed(word: str) -> str:
    typed, equals, value = word.partition("=")
    key = typed.lstrip("+")
    kind = _OTHERS.get(key) or key.partition("/")[0]
    if not equals or (kind not in kinds.KINDS and kind not in ("model", "experiment")):
        return word
    whole, _, last = value.strip("\"'").rpartition(":")
    if last.isidentifier() and os.path.isfile(os.path.expanduser(whole)):  # its folder may have signs of the grammar
        return f"{typed}={_named(key, kind, whole, last)}"

    def named(found: re.Match[str]) -> str:
        text = found["bare"] if found["quoted"] is None else found["quoted"]
        path, colon, name = text.rpartition(":")
        if ".py" not in text:
            return found[0]
        return _named(key, kind, path, name) if colon and path.endswith(".py") else _named(key, kind, text, "")

    return f"{typed}={_TOKEN.sub(named, value)}"


def _named(key: str, kind: str, path: str, name: str) -> str:
    """The name of a component whose file may be run from now on."""
    if kind not in kinds.KINDS:
        raise GanlabError(
            f"{key}={path}:{name}: {key}= names a preset; a file has components: generator=FILE.py:CLASS."
        )
    if not name:
        stem = path.rpartition(".py")[0]
        of = f", of {', '.join(code_file.read(f'{stem}.py').classes)}" if os.path.isfile(f"{stem}.py") else ""
        raise GanlabError(f"{key}={path} names no class of the file: write {key}={stem}.py:CLASS{of}.")
    (file,) = code_files.allow([path])
    if code_files.split(f"{file.name}:{name}") is None:
        raise GanlabError(f"{key}={path}:{name}: {name!r} is no name of a class. {file.offers}")
    code_files.choose([(kind, f"{file.name}:{name}")])
    return f"{file.name}:{name}"
