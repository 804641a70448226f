"""The folder of what torch.compile has made."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from torch._inductor.runtime.cache_dir_utils import cache_dir

from ganlab.runs import compiled_code


def test_torch_keeps_compiled_code_in_the_cache_and_old_code_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path))
    monkeypatch.setenv(compiled_code.VARIABLE, "")  # so that it is put back
    monkeypatch.delenv(compiled_code.VARIABLE)
    old, read, new = (tmp_path / "compiled/ab" / name for name in ("old.py", "read.py", "new.py"))
    old.parent.mkdir(parents=True)
    month = time.time() - 31 * 24 * 3600
    for path, times in ((old, (month, month)), (read, (time.time(), month)), (new, None)):
        path.write_text("")
        if times is not None:
            os.utime(path, times)
    compiled_code.keep()
    assert cache_dir() == str(tmp_path / "compiled")
    assert (old.exists(), read.exists(), new.exists()) == (False, True, True)


def test_a_place_that_was_named_and_one_that_cannot_be_written_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "file"))
    monkeypatch.setenv(compiled_code.VARIABLE, "/mine")
    compiled_code.keep()
    assert os.environ[compiled_code.VARIABLE] == "/mine"
    monkeypatch.delenv(compiled_code.VARIABLE)
    compiled_code.keep()
    assert compiled_code.VARIABLE not in os.environ
