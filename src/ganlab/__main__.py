"""``python -m ganlab`` is ``ganlab``; ganlab starts this file for its own processes.

``python -m`` looks for modules in the current folder first, so a ``random.py`` there would replace Python's own. This
file removes that folder from the search path. Lightning starts other ranks as it was started, so they do the same.
"""

import os
import sys

if __name__ == "__main__":
    if not getattr(sys.flags, "safe_path", sys.flags.isolated) and sys.path[0] in (
        os.getcwd(), os.path.dirname(os.path.abspath(__file__)),
    ):  # fmt: skip
        del sys.path[0]
    __spec__ = None  # Lightning then starts ranks by this file, not by -m

    from ganlab.cli import main

    main()
