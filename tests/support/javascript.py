"""JavaScript of ganlab's pages, run by node or else a headless browser."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support import browser


def evaluate(sources: Sequence[Path], function: str, data: Any, folder: Path) -> Any:
    """Return what a JavaScript function of ``data`` returns after the sources; skip the test if nothing runs it.

    Args:
        sources: Scripts that do not touch a page.
        function: Such as ``(data) => data.x + 1``.
        data: Plain values.
        folder: For files in between.
    """
    script = "\n".join(source.read_text(encoding="utf-8") for source in sources)
    call = f"JSON.stringify(({function})({json.dumps(data)}))"
    if node := shutil.which("node"):
        file = folder / "script.js"
        file.write_text(f"{script}\nprocess.stdout.write({call});", encoding="utf-8")
        done = subprocess.run([node, str(file)], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)
    with browser.running() as running:
        return json.loads(running.page().value(f"{script}\n{call}"))
