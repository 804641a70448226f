"""The options of commands that read runs: ``code=my_file.py``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from ganlab.commands.command import AS_TYPED, PATH, Passed
from ganlab.config import code_words
from ganlab.core import code_files
from ganlab.core.errors import GanlabError


@dataclass
class Coded:
    """Files of a user's own whose classes a run is made of.

    Args:
        code: the files whose classes the run was made with: FILE.py, or [FILE.py,FILE.py]; code.changed=accept takes
            them as they are now
    """

    code: Annotated[str | None, PATH, AS_TYPED] = field(default=None, kw_only=True)
    accepted: Annotated[Sequence[str], Passed((code_files.CHANGED,), offers=())] = field(default=(), kw_only=True)

    several_runs: ClassVar[bool] = False

    def begin(self) -> None:
        """Let the files be run.

        Raises:
            GanlabError: If one cannot be read.
        """
        for word in self.accepted:
            if word != f"{code_files.CHANGED}={code_files.ACCEPT}":
                raise GanlabError(f"{word}: {code_files.CHANGED} must be {code_files.ACCEPT}.")
        if self.code == "":
            raise GanlabError("code= wants a file: code=my_file.py.")
        paths = code_words.paths(self.code) if self.code else []
        for path in paths:
            if code_files.split(path.rpartition("/")[2]) is not None:
                raise GanlabError(f"code={path}: it takes the file alone, code={path.rpartition(':')[0]}.")
        code_files.allow(paths, alone=not self.several_runs, accepting=bool(self.accepted))
