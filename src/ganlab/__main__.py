"""``python -m ganlab`` is ``ganlab``; ganlab starts this file for its own processes.

Python looks for modules in the current folder first after ``-m``, so that a ``random.py`` there would be run in the
place of its own. Nothing below is imported from there, nor by ranks, which Lightning starts as their first one was.
"""

import os
import sys

if __name__ == "__main__":
    if not getattr(sys.flags, "safe_path", sys.flags.isolated) and sys.path[0] in (
        os.getcwd(), os.path.dirname(os.path.abspath(__file__)),
    ):  # fmt: skip
        del sys.path[0]
    __spec__ = None  # by this file then, and not by -m

    from ganlab.cli import main

    main()
