"""Train, load, sample and evaluate from Python.

    python examples/python_api.py [iterations] [folder]

Every step does what a command does, and leaves the same files: `ganlab sample`, `ganlab evaluate` and `ganlab resume`
take the folder that this script makes, and the script could load one of theirs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import ganlab
from ganlab.evaluation import protocol
from ganlab.runs import scoring
from ganlab.sampling import generation


def main(iterations: int, folder: Path) -> None:
    # the words of `ganlab train`; what they leave open is the embedded digits and a small network
    words = ["loss=non_saturating", "reg=r1", "reg.r1.gamma=1", f"trainer.max_steps={iterations}", f"run.dir={folder}"]
    try:
        run = ganlab.train(words)
    except ganlab.GanlabError as error:  # all that a user can cause, such as a folder that holds a run already
        sys.exit(f"not trained: {error}")
    print(f"{run.iteration} iterations of {run.config['generator'].name} are in {run.folder}")

    # later, or in another process: the newest whole checkpoint of a folder, with averaged weights
    run = ganlab.load(folder)
    images = run.sample(40, labels=[i % 10 for i in range(40)], seed=1)  # float (40, C, H, W) in [-1, 1]
    generation.write_png(generation.grid(images, columns=10), folder / "grid.png")
    print(f"the averaged generator has {sum(p.numel() for p in run.generator.parameters()):,} parameters")

    # scores under a protocol; each is appended to evaluation.jsonl in the folder
    chosen = protocol.preset("digits").changed({"metrics": ["fid", "kid"], "samples": 200})
    (record,) = scoring.evaluate_run(folder, chosen)
    for name, score in record["values"].items():
        print(f"{name} {score['value']:.4g}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200, Path(sys.argv[2] if len(sys.argv) > 2 else "python-api-run"))
