"""One file a command: ``run(words, options, flags)`` returns the exit code; ``HELP`` or ``help_text()`` is its help.

A command's module is imported when it is typed, and imports what is heavy inside ``run``: ``ganlab --help`` and
``ganlab list`` import neither torch nor lightning.
"""

COMMANDS = {
    "train": "train a GAN, or sweep over several with -m",
    "resume": "continue a run from its newest checkpoint",
    "sample": "make images with a trained generator",
    "evaluate": "score a run, or a folder of images, under a protocol",
    "import": "turn another code's checkpoint into a run",
    "list": "components that are installed",
    "show": "one component: formula, paper, options",
    "bench": "measure the speed of a training iteration",
    "completion": "print a shell's completion script",
}
