"""Commands: dataclasses whose fields are their words, options and flags.

The annotation of a field has its type, range and marks, as in a component's constructor, and the docstring's ``Args``
section its sentence. The parsing of a command line, help, error messages and shell completion follow from these.
"""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, cast, get_args, get_origin, get_type_hints

from ganlab.config import code_words, docstrings
from ganlab.core import code_files, terminal, traceback_file
from ganlab.core.errors import GanlabError, PartFailedError, suggestion


@dataclass(frozen=True)
class Word:
    """A word that is no option; any number of them where the field has a default.

    Args:
        shown: In the line of usage: ``RUN``.
        what: Its meaning, for messages: ``run folder``.
    """

    shown: str
    what: str = ""


@dataclass(frozen=True)
class Flag:
    """A word that begins with a dash, by all of its names."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Passed:
    """Options that the command passes on as they are typed.

    Args:
        patterns: Of their keys: ``data``, ``data.*``.
        shown: In the page of help; empty: its text tells about them.
        offers: What shells complete: ``groups`` and ``options`` of a run, those that fit the patterns.
        several: Whether one may have several values, for a sweep.
    """

    patterns: tuple[str, ...] = ("*",)
    shown: str = ""
    offers: tuple[str, ...] = ("groups", "options")
    several: bool = False

    def takes(self, key: str) -> bool:
        """Tell if an option is one of these."""
        return any(fnmatchcase(key, pattern) for pattern in self.patterns)


@dataclass(frozen=True)
class Only:
    """An option that has an effect only with some values of another one."""

    option: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.option}={' or '.join(self.values)}"


RUN, RUNS = Word("RUN", "run folder"), Word("[RUN ...]", "run folder")
PATH = "names a file or a folder"
AS_TYPED = "is no value in Hydra's grammar, and is taken as it is typed"


class Command:
    """The base of all commands; a command is called to run it, and returns the exit code."""

    def __call__(self) -> int:
        raise NotImplementedError

    def begin(self) -> None:
        """Do what comes before the command itself."""

    @classmethod
    def run(cls, typed: Sequence[str]) -> int:
        """Parse the words after the command's name, and run it or print its help; return the exit code.

        Raises:
            GanlabError: For errors that a user can fix.
        """
        typed = [word.removeprefix("--") if _is_dashed_option(word) else word for word in typed]
        with code_files.session():
            try:
                return cls._run(typed)
            except Exception as error:
                blamed = None if isinstance(error, GanlabError) else code_files.blamed(error)
                if blamed is None:
                    raise
                path, _ = traceback_file.write(error, [cls.name(), *typed])
                raise PartFailedError(f"{blamed} The traceback is in {path}.") from error

    @classmethod
    def _run(cls, typed: Sequence[str]) -> int:
        words = [word for word in typed if _is_word(word)]
        flags = [word for word in typed if _is_flag(word)]
        options = code_words.allowed(word for word in typed if word not in flags and word not in words)
        if "-h" in typed or "--help" in typed:
            print(terminal.folded(cls.help(words)))
            return 0
        make: Any = cls
        command = make(**cls._flags(flags), **cls._words(words), **cls._options(options))
        for name, only in cls.marked(Only).items():
            value = getattr(command, only.option)
            if value not in only.values and command.changed([name]):
                raise GanlabError(f"{name} goes with {only}, not with {only.option}={value}.")
        command.begin()
        return int(command())

    @classmethod
    def name(cls) -> str:
        """The word that is typed for it: the name of its file."""
        return cls.__module__.rpartition(".")[2]

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """The defaults of its fields, by name."""
        return {field.name: field.default for field in fields(cast(Any, cls))}

    @classmethod
    def annotations(cls) -> dict[str, Any]:
        """The annotations of its fields, by name."""
        hints = get_type_hints(cls, include_extras=True)
        return {name: hints[name] for name in cls.defaults()}

    @classmethod
    def marked(cls, mark: Any) -> dict[str, Any]:
        """The fields with a mark, or with one of a class of marks, and that mark, by name."""
        return {
            name: each
            for name, annotation in cls.annotations().items()
            for each in _marks(annotation)
            if each == mark or (inspect.isclass(mark) and isinstance(each, mark))
        }

    @classmethod
    def options(cls) -> dict[str, Any]:
        """The annotations of the options that it has itself, by name."""
        others = {**cls.marked(Word), **cls.marked(Flag), **cls.marked(Passed)}
        return {name: annotation for name, annotation in cls.annotations().items() if name not in others}

    def changed(self, names: Iterable[str]) -> list[str]:
        """The names of fields that do not have their default."""
        defaults = self.defaults()
        return [name for name in names if getattr(self, name) != defaults[name]]

    @classmethod
    def candidates(cls, before: Sequence[str]) -> Iterable[str]:
        """Candidates for the next word after ``before``, without run folders and options."""
        return [choice for name in cls.marked(Word) for choice in choices(cls.annotations()[name])]

    @classmethod
    def usage(cls) -> str:
        """A line such as ``ganlab sample RUN [key=value ...]``."""
        words = [word.shown for word in cls.marked(Word).values()]
        options = ["[key=value ...]"] if cls.options() or cls.marked(Passed) else []
        flags = [f"[{flag.names[0]}]" for flag in cls.marked(Flag).values()]
        return " ".join(["ganlab", cls.name(), *words, *options, *flags])

    @classmethod
    def help(cls, words: Sequence[str]) -> str:
        """Return the page of help, or the parts that ``words`` name if the page of the command has parts."""
        before, after = docstrings.around(inspect.getdoc(cls) or "")
        return "\n\n".join(filter(None, [cls.usage(), before, "\n".join(cls._table()), after]))

    @classmethod
    def _table(cls) -> Iterator[str]:
        """Options, passed options and flags, each with its default and its sentence."""
        from ganlab.config.help_pages import hanging
        from ganlab.config.schema import spell

        docs = [inspect.cleandoc(base.__doc__ or "") for base in reversed(cls.__mro__)]
        about = {name: text for doc in docs for name, text in docstrings.arguments(doc).items()}
        about.update({name: f"{about[name]} ({only})" for name, only in cls.marked(Only).items()})
        typed = {name: f"{name}={spell(cls.defaults()[name])}" for name in cls.options()}
        typed.update({name: passed.shown for name, passed in cls.marked(Passed).items() if passed.shown})
        typed.update({name: ", ".join(flag.names) for name, flag in cls.marked(Flag).items()})
        width = min(20, max(map(len, typed.values()), default=0))
        for name, word in typed.items():
            start = f"  {word:<{width}}  "
            if len(word) > width:
                yield f"  {word}"
                start = " " * (width + 4)
            yield from hanging(start, about[name].split())

    @classmethod
    def _flags(cls, flags: Sequence[str]) -> dict[str, bool]:
        known = {dashed: name for name, flag in cls.marked(Flag).items() for dashed in flag.names}
        for flag in flags:
            if flag not in known:
                allowed = f"Flags: {', '.join(known)}." if known else "It takes no flags, only key=value."
                raise GanlabError(f"`ganlab {cls.name()}` has no flag {flag}.{suggestion(flag, known)} {allowed}")
        return {known[flag]: True for flag in flags}

    @classmethod
    def _words(cls, words: Sequence[str]) -> dict[str, Any]:
        for name, word in cls.marked(Word).items():
            if word.what and "" in words:  # a variable of the shell that is not set
                raise GanlabError(f"`ganlab {cls.name()}` takes a {word.what}, got an empty word: {cls.usage()}.")
            if hasattr(cls, name):  # a default
                return {name: words}
            if len(words) != 1:
                raise GanlabError(f"`ganlab {cls.name()}` takes one {word.what}, got {len(words)}: {cls.usage()}.")
            return {name: _converted(word.what, words[0], cls.annotations()[name])}
        if words:
            raise GanlabError(f"`ganlab {cls.name()}` takes options only (key=value), got {words[0]!r}.")
        return {}

    @classmethod
    def _options(cls, options: Sequence[str]) -> dict[str, Any]:
        own, passed, as_typed, paths = cls.options(), cls.marked(Passed), cls.marked(AS_TYPED), cls.marked(PATH)
        found: dict[str, Any] = {}
        for word in options:
            key, _, text = word.partition("=")
            if key == code_files.OPTION and key in found:
                raise GanlabError(f"{key}= is given twice: write {key}=[FILE.py,FILE.py].")
            taker = next((name for name, each in passed.items() if each.takes(key)), None)
            if key in as_typed:
                found[key] = text
            elif key in own:
                is_list, names_file = "list[" in str(own[key]), key in paths
                if names_file and "\0" in text:
                    raise GanlabError(f"{key} is the name of a file or a folder, and none has a NUL: got {text!r}.")
                if names_file and not text:
                    raise GanlabError(f"{key}= names no file or folder: give a path, or leave it out.")
                found[key] = _converted(key, _single(word, is_list, names_file), own[key])
            elif taker is not None:
                if not passed[taker].several:
                    _single(word)
                found[taker] = [*found.get(taker, ()), word]
            else:
                shown = "".join(f", and {each.shown}" for each in passed.values() if each.shown)
                known = f"{suggestion(key, own)} Options: {', '.join(own)}{shown}." if own else " It takes no options."
                raise GanlabError(f"`ganlab {cls.name()}` has no option {key!r}.{known}")
        return found


def load(name: str) -> type[Command]:
    """The class of a command: in a file of its name."""
    found: type[Command] = getattr(importlib.import_module(f"{__package__}.{name}"), name.capitalize())
    return found


def choices(annotation: Any) -> list[str]:
    """The words that an option may be, if they are listed."""
    if annotation is bool:
        return ["true", "false"]
    if get_origin(annotation) is Literal:
        return list(map(str, get_args(annotation)))
    return [choice for inner in _inner(annotation) for choice in choices(inner)]


def _marks(annotation: Any) -> Iterator[Any]:
    yield from getattr(annotation, "__metadata__", ())
    for inner in _inner(annotation):
        yield from _marks(inner)


def _inner(annotation: Any) -> Sequence[Any]:
    return get_args(annotation)[: 1 if get_origin(annotation) is Annotated else None]


def _single(word: str, is_list: bool = False, names_file: bool = False) -> Any:
    from ganlab.config import command_line

    override = command_line.read(word, names_file)
    if override.is_sweep_override():
        advice = f"a list is written {override.get_key_element()}=[A,B]" if is_list else "one is wanted"
        raise GanlabError(f"{word} has several values: {advice}.")
    return override.value()


def _converted(what: str, value: Any, annotation: Any) -> Any:
    from ganlab.config import schema

    try:
        return schema.convert(value, annotation)
    except ValueError as error:
        raise GanlabError(f"{what} {error}.") from error


def _is_dashed_option(word: str) -> bool:
    """Tell if a word is an option as W&B's agents and other command lines write it: ``--seed=1``."""
    return word.startswith("--") and "=" in word[3:]


def _is_flag(word: str) -> bool:
    return word.startswith("-") and word != "-"


def _is_word(word: str) -> bool:
    """Tell if a word is neither flag nor option; a run folder of a sweep may be called 0_reg=sn."""
    of_run = os.path.isdir(word) or (word.endswith(".ckpt") and os.path.isfile(word))
    return not _is_flag(word) and (of_run or ("=" not in word and not word.startswith(("~", "+"))))
