"""The kinds of components, each declared once: a new role of games is one entry here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from ganlab.core.errors import GanlabError, suggestion

NONE = "none"


@dataclass(frozen=True)
class Kind:
    """A kind of component.

    Args:
        group: The entry-point group that distributions use.
        what: What it is, for messages and tables.
        place: Where a run has it: as part of its game, as hooks around that, one for each player, as its images,
            around training, or not at all: an evaluation has it then. What acts around training is looked for when
            training starts, not when a run is read, and a run that is resumed may have others.
        default: The choice of a run where nothing else is said, or of a player; empty: a model says it.
        given: Constructor arguments that the experiment supplies, so that they are no options.
        role: Whether games may take it, as the constructor argument of the kind's name.
        takes_roles: Whether it is given what has a role, as games are.
        network: Whether it has weights that a run trains.
        labels: Whether it is given the class labels of a conditional run: ``always``, or as ``judge``, if no judge
            comes before it in `KINDS`.
        many: Whether a run may use several: ``reg=[sn,ortho]``.
        optional: Whether ``none`` is a choice.
        fixed: Whether a checkpoint fits the same options only.
        word: What is typed before ``=``, where that is not the kind.
        methods: Those that every class of them has.
        has: Attributes that every one of them has beside these.
        always: Those that every run has without naming them, and the section of the configuration that holds the
            options of each ("": it has none).
        shown: Attributes of the class that `ganlab show` prints.
        foreign: Whether classes of Lightning are of it, which were not written for ganlab.
    """

    group: str
    what: str
    place: Literal["game", "hooks", "player", "images", "around", "evaluation"] = "game"
    default: str = ""
    given: tuple[str, ...] = ()
    role: bool = False
    takes_roles: bool = False
    network: bool = False
    labels: Literal["", "always", "judge"] = ""
    many: bool = False
    optional: bool = False
    fixed: bool = False
    word: str = ""
    methods: tuple[str, ...] = ()
    has: tuple[str, ...] = ()
    always: Mapping[str, str] = field(default_factory=dict)
    shown: tuple[str, ...] = ()
    foreign: bool = False

    @cached_property
    def of_run(self) -> bool:
        """Tell if a run's configuration names it."""
        return self.place != "evaluation"

    @cached_property
    def nested(self) -> bool:
        """Tell if its node in a configuration holds a node for each of several names."""
        return self.many or self.place == "player"


def network(
    group: str,
    what: str,
    *given: str,
    default: str = NONE,
    optional: bool = True,
    labels: Literal["", "always", "judge"] = "",
    has: tuple[str, ...] = (),
) -> Kind:
    """A network that games may take."""
    given = ("image_size", "image_channels", "num_classes", *given)
    methods = ("parameters", "buffers", "train")
    return Kind(
        group, what, "game", default, given, role=True, network=True, labels=labels, optional=optional, fixed=True,
        methods=methods, has=has,
    )  # fmt: skip


KINDS = {
    "generator": network(
        "ganlab.generators", "generator", default="", labels="always", has=("latent_dim",)
    ),
    "discriminator": network("ganlab.discriminators", "discriminator", default="", labels="judge"),
    "encoder": network("ganlab.encoders", "encoder", "latent_dim", labels="judge"),
    "statistics": network("ganlab.statistics", "statistics network", "latent_dim"),
    "loss": Kind(
        "ganlab.losses", "adversarial loss", default="hinge", role=True, optional=True,
        methods=("discriminator", "generator"),
    ),
    "reg": Kind(
        "ganlab.regularizers", "regularizer", "hooks", NONE, many=True, optional=True, methods=("attach", "terms")
    ),
    "augment": Kind(
        "ganlab.augmentations", "augmentation", "hooks", NONE, optional=True, methods=("attach", "terms")
    ),
    "game": Kind(
        "ganlab.games", "game", default="standard", takes_roles=True, fixed=True, methods=("turns", "objective"),
        has=("players",),
    ),
    "growth": Kind(
        "ganlab.growths", "schedule of growth", default=NONE, given=("image_sizes", "players", "batch_size"),
        optional=True, methods=("stage",),
    ),
    "data": Kind(
        "ganlab.datasets", "data set", "images", "digits", methods=("image", "name", "fingerprint", "__len__"),
        has=("labels", "class_names", "num_classes", "native_size", "native_channels", "held_out"),
    ),
    "prior": Kind("ganlab.priors", "prior of the latents", default="normal", methods=("__call__",)),
    "optimizer": Kind(
        "ganlab.optimizers", "optimizer", "player", "adam", given=("params",), methods=("step", "zero_grad"),
        has=("param_groups",),
    ),
    "callback": Kind(
        "ganlab.callbacks", "callback", "around", NONE, given=("run", "dirpath"), many=True, optional=True,
        always={
            "signals": "", "watching": "watch", "gauging": "guard", "recording": "", "guard": "guard", "progress": "",
            "grids": "sample",
            "scoring": "evaluate",
            "saving": "checkpoint", "stopping": "",
        },
        methods=("on_fit_start", "on_train_batch_end"), shown=("order", "cost"), foreign=True,
    ),
    "logger": Kind(
        "ganlab.loggers", "logger", "around", NONE, given=("run", "save_dir", "root_dir", "dir"), many=True,
        optional=True, methods=("log_metrics", "log_hyperparams"), foreign=True,
    ),
    "watch": Kind(
        "ganlab.instruments", "instrument", "around", NONE, many=True, optional=True, methods=("measure",),
        shown=("cost",),
    ),
    "metric": Kind(
        "ganlab.metrics", "metric of an evaluation", "evaluation", many=True, word="metrics",
        methods=("summaries", "score"),
    ),
    "features": Kind("ganlab.features", "feature extractor", "evaluation", methods=("prepare", "extract")),
}  # fmt: skip


def of(kind: str) -> Kind:
    """The kind of this name.

    Raises:
        GanlabError: If there is none.
    """
    if kind not in KINDS:
        raise GanlabError(
            f"No kind of component is called {kind!r}.{suggestion(kind, KINDS)} Kinds: {', '.join(KINDS)}."
        )
    return KINDS[kind]


def of_run() -> tuple[str, ...]:
    """The kinds that a run's configuration names."""
    return tuple(name for name, kind in KINDS.items() if kind.of_run)


def at(place: str) -> tuple[str, ...]:
    """The kinds that a run has in one place, see `Kind`."""
    return tuple(name for name, kind in KINDS.items() if kind.place == place)


def single_hooks() -> tuple[str, ...]:
    """The kinds of hooks of which a run has one at most, so that it goes by the kind's name: an augmentation."""
    return tuple(name for name in at("hooks") if not KINDS[name].many)


def networks() -> tuple[str, ...]:
    """The kinds of networks that games may take."""
    return tuple(name for name, kind in KINDS.items() if kind.network)


def roles() -> tuple[str, ...]:
    """The kinds that games may take: networks, and a loss."""
    return tuple(name for name, kind in KINDS.items() if kind.role)


def given(kind: str) -> tuple[str, ...]:
    """Constructor arguments that the experiment supplies: to a game, what has a role."""
    return roles() if of(kind).takes_roles else of(kind).given


def labelled(present: Collection[str]) -> tuple[str, ...]:
    """The networks of ``present`` that are given the labels of a conditional run: one that makes images, one judge."""
    judges = [name for name, kind in KINDS.items() if kind.labels == "judge" and name in present]
    makers = [name for name, kind in KINDS.items() if kind.labels == "always" and name in present]
    return (*makers, *judges[:1])
