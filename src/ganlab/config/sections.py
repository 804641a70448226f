"""The options that every run has, whatever its components: one class a section of the configuration.

A field is an option: its name, type, range and default, and its sentence in the docstring. `ganlab.config.schema` reads
them as it reads the constructors of components.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, get_type_hints

from ganlab.config import schema
from ganlab.core.ranges import Filled, FilledPath, NotNegative, Positive, Range, at_least

Count = Annotated[int, at_least(1)]
Whole = Annotated[int, at_least(0)]


@dataclass(frozen=True, kw_only=True)
class GeneralOptions:
    """Options of a run outside of sections.

    Args:
        seed: Of initial weights, the order of images, latents and all that is random.
        init: A run, or a checkpoint of one, whose weights this one begins with; trained as that was.
        freeze: What is not trained: discriminator:4, its first four layers; generator.mapping, the part of this name;
            *.bias, a pattern of names.
        accumulate: Micro-batches of one step: the batch may be larger than memory.
        state_updates: When batch-norm statistics and spectral-norm vectors move.
        sync_batch_norm: Batch statistics are taken across ranks.
        channels_last: Memory format of images and convolutions.
        compile: Compile the networks with torch.compile; max-autotune-no-cudagraphs: in this mode of it.
        tf32: Products of float32 numbers on a GPU are of 10 bits: true, convolutions and matrix products; false, none;
            auto, as PyTorch has it, convolutions only.
        recorded: Record turns on the GPU as CUDA graphs and replay them. It has not been tried on a GPU yet: until then
            auto means false.
    """

    seed: Whole = 0
    init: Annotated[str, Filled("a run folder")] | None = None
    freeze: Annotated[str, Filled("a part")] | tuple[str, ...] = ()
    accumulate: Count = 1
    state_updates: Literal["own_turn", "every_forward"] = "own_turn"
    sync_batch_norm: bool = True
    channels_last: bool = True
    compile: bool | Literal["max-autotune-no-cudagraphs"] = False
    tf32: bool | Literal["auto"] = "auto"
    recorded: bool | Literal["auto"] = "auto"


@dataclass(frozen=True)
class RunOptions:
    """Folder and length of a run.

    Args:
        dir: Its folder; null: runs/DATE_TIME_GENERATOR_DATA_LOSS_SEED.
        max_kimg: Stop after so many thousands of real images; null: trainer.max_steps decides.
    """

    dir: FilledPath | None = None
    max_kimg: Positive | None = None


@dataclass(frozen=True)
class DataOptions:
    """Options of every data set, in addition to its own.

    Args:
        batch_size: Of one discriminator turn: over all ranks and accumulations.
        image_size: H or [H,W]; null: the largest that model and images have, at most 64.
        image_channels: 1 or 3; null: the data's own, and of points their coordinates.
        num_classes: null: the data's own; 0: unconditional.
        mirror: Flip half of the real images.
        dequantize: Uniform noise of one grey level: (x + u)/128 - 1, u in [0, 1), instead of x/127.5 - 1.
        held_out: Share that is never trained on, half validation and half test; null: the data's own.
        memory_budget_mib: A larger set is packed into a memory-mapped file in the user's cache.
        on_device: Hold the set on the accelerator; auto: on a GPU, if it is in memory and at most a twentieth of what
            is free there.
        undecodable: What becomes of images that cannot be read: stop with an error, or skip them.
    """

    batch_size: Count = 64
    image_size: Count | Annotated[tuple[int, int], at_least(1)] | None = None
    image_channels: Count | None = None
    num_classes: Whole | None = None
    mirror: bool = False
    dequantize: bool = False
    held_out: Annotated[float, Range(least=0, below=1)] | None = None
    memory_budget_mib: NotNegative = 2048
    on_device: bool | Literal["auto"] = "auto"
    undecodable: Literal["error", "skip"] = "error"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of the images; the configuration must be complete."""
        size = self.image_size
        assert size is not None
        assert self.image_channels is not None
        return (self.image_channels, *((size, size) if isinstance(size, int) else size))

    @property
    def classes(self) -> int:
        """The number of classes, 0 in an unconditional run; the configuration must be complete."""
        assert self.num_classes is not None
        return self.num_classes


@dataclass(frozen=True)
class EmaOptions:
    """The averaged generator, see `ganlab.engine.averaging.Average`; its numbers may follow schedules.

    Args:
        half_life_kimg: Half-life of the average; 0: no averaging.
        half_life_steps: In iterations, instead of half_life_kimg.
        ramp_up: The half-life is at most this share of the images seen so far; null: no ramp-up.
        start_kimg: Before this the average is a copy.
    """

    half_life_kimg: NotNegative = 10.0
    half_life_steps: NotNegative | None = None
    ramp_up: Positive | None = 0.05
    start_kimg: NotNegative = 0.0


@dataclass(frozen=True)
class CheckpointOptions:
    """Checkpoints of a run.

    Args:
        every_steps: Interval in iterations.
        keep: Older checkpoints beside last.ckpt.
    """

    every_steps: Count = 500
    keep: Whole = 2


@dataclass(frozen=True)
class SampleOptions:
    """Grids of samples during training.

    Args:
        every_steps: Interval in iterations.
        count: Images of a grid, 100, with classes one row a class; or points of a plot, 2,000.
        keep: Grids kept; older ones are thinned out.
        truncation: Threshold of the latents; null: none.
    """

    every_steps: Count = 250
    count: Count | None = None
    keep: Annotated[int, at_least(2)] = 24
    truncation: Positive | None = None


@dataclass(frozen=True)
class EvaluateOptions:
    """Scores during training.

    Args:
        every_kimg: A score every so many thousands of images; null: none.
        metrics: The checkpoint with the best value of the first one is kept; null: the first one of the protocol.
        reference: The split to choose by; `ganlab evaluate` reports on another one.
        samples: Generated images; null: the protocol's.
        features: Feature extractor; null: the protocol's.
        protocol: null: the data's own.
    """

    every_kimg: Positive | None = None
    metrics: Annotated[tuple[str, ...], Filled("a list of at least one metric")] | None = None
    reference: str = "validation"
    samples: Whole | None = None
    features: str | None = None
    protocol: str | None = None


@dataclass(frozen=True)
class SweepOptions:
    """Options of a sweep, `ganlab train -m`; they are no part of a run's configuration.

    Args:
        jobs: How many train at a time; null: one for each GPU that they can have, or one on a CPU.
        fail: After a failed job go on with the others, or stop: those that train finish, and no other starts.
        objective: The metric that a searching sweeper improves; null: the first of evaluate.metrics.
        trials: Jobs of a searching sweeper, such as hydra/sweeper=optuna.
    """

    jobs: Count | None = None
    fail: Literal["continue", "stop"] = "continue"
    objective: Annotated[str, Filled("a metric")] | None = None
    trials: Count = 20


@dataclass(frozen=True)
class WatchOptions:
    """Instruments during training: watch=NAME or watch=[NAME,...], see `ganlab list watch`.

    Args:
        every_steps: Interval in iterations.
    """

    every_steps: Count = 200


@dataclass(frozen=True)
class GuardOptions:
    """The guard, which notices a run that fails: guard=off, warn, stop or rollback, see docs/guard.md.

    Args:
        action: When it sees a sign of failure: off: it does not look; warn: print it; stop: end the run; rollback: go
            back to the checkpoint before the sign.
        every_steps: Interval in iterations at which it looks.
        samples: Images from fixed latents that it looks at.
        rollbacks: How often a run may go back; then it ends.
        rates: Factor on all learning rates each time that it goes back.
        strength: Factor on the terms that regularizers add each time that it goes back.
        patience: Looks in succession that a sign takes; some signs take several times as many.
        explosion: Times the median of its past that a magnitude may be; null: no such sign, as in all of these.
        growth: Times the least of 200 iterations that the moments of an optimizer may be.
        unbounded: Times that the discriminator's logits may grow with twice its weights, where its loss is linear in
            them and no regularizer acts on it.
        step: Share of the norm of its weights that one step of a player may have.
        descent: Share of the effect of a step that must be left where steps go on as before, whatever the gradient.
        won: Share of their first values below which the discriminator's loss and the generator's gradient say that
            the discriminator has won.
        jump: Times its past that a discriminator's loss may rise that was near zero.
        collapse: Share of its past below which the diversity of images is a collapse.
        labels: Share of its past below which the asked classes are lost.
        cycle: Distance to an earlier mean image, as a share of the way in between, that is a cycle.
        score: Times its best value that a score during training may be.
    """

    action: Literal["off", "warn", "stop", "rollback"] = "warn"
    every_steps: Count = 50
    samples: Annotated[int, at_least(2)] = 64
    rollbacks: Whole = 2
    rates: Annotated[float, Range(above=0, most=1)] = 1.0
    strength: Annotated[float, at_least(1)] = 1.0
    patience: Count = 2
    explosion: Positive | None = 100.0
    growth: Positive | None = 50.0
    unbounded: Positive | None = 1.5
    step: Positive | None = 0.3
    descent: Positive | None = 0.6
    won: Positive | None = 0.01
    jump: Positive | None = 10.0
    collapse: Positive | None = 0.3
    labels: Positive | None = 0.5
    cycle: Positive | None = 0.2
    score: Positive | None = 2.0


@dataclass(frozen=True)
class ClipOptions:
    """Largest norm of the gradients of each player, to which longer ones are scaled; of other players clip.PLAYER.

    Args:
        generator: Largest norm of its gradients; null: no limit.
        discriminator: Largest norm of its gradients; null: no limit.
    """

    generator: Positive | None = None
    discriminator: Positive | None = None


@dataclass(frozen=True, kw_only=True)
class Sections:
    """The sections that every run has, each a field of its name."""

    run: RunOptions
    data: DataOptions
    ema: EmaOptions
    checkpoint: CheckpointOptions
    sample: SampleOptions
    evaluate: EvaluateOptions
    watch: WatchOptions
    guard: GuardOptions


SECTIONS: dict[str, type] = get_type_hints(Sections)
DECLARED = {"": GeneralOptions, **SECTIONS, "clip": ClipOptions}  # all options of a run, by section
SCHEDULED = ("ema",)  # sections whose numbers may follow schedules


@cache
def options() -> dict[str, dict[str, schema.Option]]:
    """The options of each section, and those outside of sections under an empty name."""
    return {name: schema.options(section) for name, section in DECLARED.items()}


def defaults() -> dict[str, Any]:
    """The sections of a configuration that says nothing, as plain containers."""
    found = {name: {o.name: o.default for o in section.values()} for name, section in options().items()}
    return {**found.pop(""), **found}
