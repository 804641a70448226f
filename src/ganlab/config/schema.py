"""The options of a component, read off its constructor's signature, and values checked against them."""

from __future__ import annotations

import collections.abc as abc
import inspect
import sys
import types
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from ganlab.core import schedules
from ganlab.core.errors import GanlabError, shown, suggestion
from ganlab.core.ranges import Among, Filled, Range

REQUIRED = "???"  # OmegaConf's mark of a value that must be given
COMPONENT = "component"  # the key of a node that names its component
LARGEST = 2**63 - 1  # of a whole number, as torch has it
_SIMPLE: dict[Any, tuple[str, Any]] = {  # a type -> what it is called, and the types of its values in YAML
    type(None): ("null", type(None)),
    bool: ("true or false", bool),
    Path: ("a path", (str, Path)),
}


@dataclass(frozen=True)
class Option:
    """One constructor argument that a user may set, or the key of one."""

    name: str
    annotation: Any
    default: Any  # REQUIRED if there is none
    about: str = ""

    @property
    def required(self) -> bool:
        """Tell if it has no default."""
        return bool(self.default == REQUIRED)

    def at(self, key: str) -> Option:
        """The option under its full key, that of its node before its name."""
        return replace(self, name=f"{key}.{self.name}" if key else self.name)


def in_words(options: Mapping[str, Option], about: Mapping[str, str]) -> tuple[Option, ...]:
    """Options with what they are, and with their annotations as text."""
    return tuple(Option(o.name, spelled(o.annotation), o.default, about.get(o.name, "")) for o in options.values())


def rows(written: Iterable[Mapping[str, Any]]) -> tuple[Option, ...]:
    """Options that were written as mappings."""
    return tuple(Option(**option) for option in written)


def options(component: Any, given: Collection[str] = (), foreign: bool = False) -> dict[str, Option]:
    """The options of a component or of a section: the parameters of its constructor.

    Args:
        component: A class or a function.
        given: Parameters that are no options, since ganlab supplies them.
        foreign: It was not written for ganlab: a parameter is no option if a configuration cannot hold its default.

    Raises:
        GanlabError: If it has no signature, or a default that a configuration cannot hold.
    """
    hints = _hints(component)
    try:
        parameters = inspect.signature(component).parameters.values()
    except ValueError as error:  # classes of C, such as dict
        raise GanlabError(f"{component!r} has no signature to read options off.") from error
    made = {f.name: f.default_factory for f in getattr(component, "__dataclass_fields__", {}).values()}
    found = {}
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) or parameter.name in given:
            continue
        factory = made.get(parameter.name, MISSING)
        value = parameter.default if factory is MISSING else factory()
        try:
            default = REQUIRED if value is parameter.empty else plain(value)
        except TypeError as error:
            if foreign:
                continue
            raise GanlabError(f"{component!r}, {parameter.name}: {error}.") from error
        found[parameter.name] = Option(parameter.name, hints.get(parameter.name, Any), default)
    return found


def spelled(annotation: Any) -> str:
    """An annotation as text: ``int | None``, and ``int, at least 1``."""
    if annotation is Any:
        return ""
    if get_origin(annotation) is Annotated:
        return ", ".join(map(str, (spelled(get_args(annotation)[0]), *get_args(annotation)[1:])))
    if get_origin(annotation) in (Union, types.UnionType):
        return " | ".join("None" if each is type(None) else spelled(each) for each in get_args(annotation))
    if inspect.isclass(annotation) and not get_args(annotation):
        return annotation.__qualname__
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def spell(value: Any) -> str:
    """A value as a user would type it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(spell, value))}]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{k}:{spell(v)}" for k, v in value.items()) + "}"
    return "''" if value == "" else str(value)


def takes(component: Any) -> set[str]:
    """Names of all constructor parameters."""
    return set(inspect.signature(component).parameters)


def plain(value: Any) -> Any:
    """A default as YAML holds it.

    Raises:
        TypeError: If YAML cannot hold it.
    """
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"the default {value!r} is nothing that YAML can hold; take its name as a string instead")


def check(
    known: Mapping[str, Option], values: Mapping[str, Any], key: str, scheduled: Collection[str] = ()
) -> tuple[dict[str, Any], list[str]]:
    """Constructor arguments from the values of a node, and a sentence for each value that is wrong.

    Args:
        known: The options.
        values: The node, without the ``component`` key.
        key: Key of the node, such as ``loss``, for messages.
        scheduled: The names of values that are schedules; numbers with a decimal point may be.
    """
    arguments: dict[str, Any] = {}
    problems = []
    for name, value in values.items():
        where = f"{key}.{name}" if key else name
        if name not in known:
            problems.append(f"{where} is no option.{suggestion(name, known)} Options: {', '.join(known) or 'none'}.")
        elif value == REQUIRED:
            if not known[name].required:  # else `missing` says it
                problems.append(
                    f"{where}={REQUIRED} is a mark for a value that must be given: give one, or leave it out."
                )
        elif name in scheduled and isinstance(value, Mapping) and takes_float(known[name].annotation):
            arguments[name] = value
        elif name in scheduled and isinstance(value, (list, tuple)):
            try:
                convert(schedules.first_values(value), known[name].annotation)
                arguments[name] = list(value)
            except ValueError as error:
                problems.append(f"{where} {error}.")
        else:
            try:
                arguments[name] = convert(value, known[name].annotation)
            except ValueError as error:
                problems.append(f"{where} {error}.")
    return arguments, problems


def missing(known: Mapping[str, Option], values: Mapping[str, Any], key: str) -> list[str]:
    """A sentence for each option without a default that ``values`` lacks; arguments as of `check`."""
    needed = [name for name, option in known.items() if option.required and values.get(name, REQUIRED) == REQUIRED]
    return [f"{key}.{name} must be given: {key}.{name}=VALUE." for name in needed]


def convert(value: Any, annotation: Any) -> Any:
    """``value`` as the annotation wants it; whole floats become integers, lists become tuples.

    Raises:
        ValueError: If it is something else, in words that follow the option's name.
    """
    origin, args = get_origin(annotation), get_args(annotation)
    if annotation is Any or annotation is inspect.Parameter.empty:
        return value
    if origin is Annotated:
        return _convert_in_range(value, *args)
    if origin in (Union, types.UnionType):
        return _convert_union(value, args)
    if origin is Literal:
        found = [choice for choice in args if choice == value and isinstance(choice, bool) == isinstance(value, bool)]
        if not found:
            choices = f"{'one of ' * (len(args) > 1)}{', '.join(map(str, args))}"
            raise ValueError(f"must be {choices}, got {shown(value)}{_near(value, args)}")
        return found[0]
    if annotation in _SIMPLE:
        words, types_of_values = _SIMPLE[annotation]
        if not isinstance(value, types_of_values):
            raise ValueError(f"must be {words}, got {shown(value)}")
        return Path(value) if annotation is Path else value
    if annotation is int:
        if isinstance(value, bool) or not (isinstance(value, int) or (isinstance(value, float) and value.is_integer())):
            raise ValueError(f"must be a whole number, got {shown(value)}")
        if not -LARGEST <= value <= LARGEST:
            got = f"{value:.3g}" if abs(value) <= sys.float_info.max else shown(value)
            raise ValueError(f"must be a whole number below {LARGEST + 1:.2g}, got {got}")
        return int(value)
    if annotation is float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"must be a number, got {shown(value)}")
        if not abs(value) <= sys.float_info.max:  # nan, inf, and whole numbers that no float can be
            raise ValueError(f"must be a finite number, got {shown(value)}")
        return float(value)
    if annotation is str:
        if value is None or isinstance(value, (list, tuple, Mapping)):
            raise ValueError(f"must be a word, got {shown(value)}")
        return str(value)
    if inspect.isclass(annotation) and issubclass(annotation, Enum):
        allowed = [e.value for e in annotation]
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(map(str, allowed))}, got {shown(value)}")
        return annotation(value)
    if origin in (tuple, list, abc.Sequence) or annotation in (tuple, list):
        return _convert_sequence(value, origin or annotation, args)
    if origin in (dict, abc.Mapping) or annotation is dict:
        if not isinstance(value, Mapping):
            raise ValueError(f"must be a mapping such as {{a:1}}, got {shown(value)}")
        return {k: convert(v, args[1] if args else Any) for k, v in value.items()}
    return value  # an annotation that only type checkers understand


class _OutOfRangeError(ValueError):
    """A value of the right type that is out of its range.

    Args:
        allowed: The range, in words.
        value: The value.
    """

    def __init__(self, allowed: str, value: Any) -> None:
        super().__init__(f"must be {allowed}, got {shown(value)}")
        self.allowed = allowed


def _convert_in_range(value: Any, annotation: Any, *marks: Any) -> Any:
    converted = convert(value, annotation)
    for mark in marks:
        if isinstance(mark, (Range, Among, Filled)) and converted is not None and not mark.holds(converted):
            raise _OutOfRangeError(str(mark), value)
    return converted


def _convert_union(value: Any, choices: Sequence[Any]) -> Any:
    reasons, out_of_range = [], None
    if value is None and type(None) in choices:
        return None
    # an int must not become a float because float is named first
    for choice in sorted(choices, key=lambda c: not (isinstance(c, type) and type(value) is c)):
        try:
            return convert(value, choice)
        except _OutOfRangeError as error:
            out_of_range = out_of_range or error
        except ValueError as error:
            if choice is not type(None):
                reasons.append(str(error))
    null = " or null" if type(None) in choices else ""
    if out_of_range is not None:
        raise _OutOfRangeError(f"{out_of_range.allowed}{null}", value)
    allowed = " or ".join(r.split(", got")[0].removeprefix("must be ") for r in reasons)
    raise ValueError(f"must be {allowed}{null}, got {shown(value)}")


def _convert_sequence(value: Any, origin: Any, args: tuple[Any, ...]) -> Any:
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        raise ValueError(f"must be a list such as [a,b], got {shown(value)}")
    fixed = origin is tuple and bool(args) and Ellipsis not in args
    if fixed and len(value) != len(args):
        raise ValueError(f"must have {len(args)} entries, got {list(value)!r}")
    each = args[0] if args else Any
    kinds = args if fixed else [each] * len(value)
    converted = [convert(v, kind) for v, kind in zip(value, kinds, strict=True)]
    return converted if origin is list else tuple(converted)


def takes_float(annotation: Any) -> bool:
    """Tell if a number of this annotation may follow a schedule; a mapping of numbers is none."""
    inner, origin = get_args(annotation), get_origin(annotation)
    if origin is Annotated:
        inner = inner[:1]
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        inner = ()
    return annotation is float or any(map(takes_float, inner))


def _near(value: Any, allowed: Sequence[Any]) -> str:
    return suggestion(str(value), map(str, allowed)).rstrip("?").replace(" Did you mean", "; did you mean")


def _hints(component: Any) -> dict[str, Any]:
    try:
        return get_type_hints(component.__init__ if inspect.isclass(component) else component, include_extras=True)
    except NameError:  # an annotation that exists for type checkers only
        return {}
