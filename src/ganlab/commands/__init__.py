"""One file a command; each turns words into calls of the parts below.

A command module has ``run(words, options, flags) -> exit code`` and ``HELP``. It imports what is
heavy inside ``run``, so that ``ganlab --help`` and ``ganlab list`` import neither torch nor lightning.
"""
