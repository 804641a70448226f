"""One file a command, and in it a class of its name, see `ganlab.commands.command`.

A command's module is imported when it is typed, and imports what is heavy when it is called: ``ganlab --help`` and
``ganlab list`` import neither torch nor lightning.
"""

COMMANDS = {
    "train": "train a GAN, or sweep over several with -m",
    "resume": "continue a run from its newest checkpoint",
    "sample": "make images with a trained generator",
    "evaluate": "score a run, or a folder of images, under a protocol",
    "watch": "measure checkpoints of a run with instruments",
    "page": "the page of a run: curves, grids, configuration; --watch follows it",
    "compare": "compare the runs of a sweep: which is better, and how sure",
    "export": "a generator for other programs and the Hugging Face Hub, or a demo",
    "import": "turn another code's checkpoint into a run",
    "dynamics": "which small games converge, by theory and by trajectory",
    "list": "components that are installed",
    "show": "one component: formula, paper, options",
    "bench": "measure the speed of a training iteration",
    "completion": "print a shell's completion script",
}
