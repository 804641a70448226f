"""A process that is tied to another one ends with it, by SIGTERM, however that ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from ganlab.core import tie

CHILD = "from ganlab.core import tie; tie.watch(); print('tied', flush=True); import time; time.sleep(60)"
PARENT = (
    "import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', {child!r}], stdin=subprocess.PIPE,"
    "start_new_session=True); print(child.pid, flush=True); time.sleep(60)"
)


def test_it_ends_when_the_other_end_of_its_input_is_closed() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, tie.MARK: "1"}
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"tied\n"
    assert process.poll() is None
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGTERM


def test_it_ends_when_the_other_process_is_killed(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w+") as out:
        parent = subprocess.Popen(
            [sys.executable, "-c", PARENT.format(child=CHILD)], stdout=out, env={**os.environ, tie.MARK: "1"}
        )
        while "tied" not in (tmp_path / "out").read_text():
            assert parent.poll() is None
        parent.kill()
        parent.wait(20)
    pid = int((tmp_path / "out").read_text().split()[0])
    for _ in range(2000):
        try:
            if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
                break
            os.kill(pid, 0)
        except (ProcessLookupError, FileNotFoundError):
            break
        import time

        time.sleep(0.01)
    else:
        os.kill(pid, signal.SIGKILL)
        raise AssertionError("it lives on")


def test_a_process_that_nobody_tied_reads_no_input() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from ganlab.core import tie; tie.watch(); print(input())"],
        input=b"mine\n", capture_output=True, timeout=20, env={k: v for k, v in os.environ.items() if k != tie.MARK},
    )  # fmt: skip
    assert done.stdout == b"mine\n"
