"""A program that imports components and writes what each is as a line of JSON, see `ganlab.config.option_table`.

It is started by its path: nothing is imported from its own folder, nor from the current one.
"""

import os
import sys

if __name__ == "__main__":
    sys.path[:] = [path for path in sys.path if path and path != os.path.dirname(os.path.abspath(__file__))]

    import json

    request = json.load(sys.stdin)
    sys.path[:] = request["path"]
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a component prints while it is imported is no answer

    from dataclasses import asdict

    from ganlab.config import option_table
    from ganlab.core.errors import GanlabError, sentence

    for kind, name in request["wanted"]:
        try:
            found = option_table.live(kind, name)
        except Exception as error:
            what = "" if isinstance(error, GanlabError) else f"{kind}={name} cannot be read: {type(error).__name__}: "
            found = option_table.Described(problem=f"{what}{sentence(error)}")
        print(json.dumps(asdict(found)), file=answer, flush=True)
