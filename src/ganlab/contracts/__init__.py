"""The contracts: what the author of a plug-in writes against. Each name is also importable from `ganlab`.

Training
    `Game`: who plays, in what turns, by what update rule, and what each player minimises.
    `Turn`: one evaluation of some players' objectives on one batch, and a step of each.
    `Player`: modules that one optimizer trains.
    `Objectives`: player -> its `Terms`, name -> scalar.
    `View`: one micro-batch of one turn: images, latents, logits, gradients, keyed randomness.
    `Points`: images, with their labels, that the discriminator judges.
    `Regularizer`: hooks that add terms, or change modules, images, features, scores or gradients.
    `Address`: whose objective a regularizer's terms belong to, in which turns, how often.
    `Progress`: iterations done and images seen.

Growing networks
    `Grows`: a network that can grow.  `Growth`: a schedule of growth.  `Stage`: one state of it.

Data
    `Dataset`: a finite set of images in a fixed order.  `Picture`: one of them.

Scores
    `Metric`: one or several numbers of a run. It names the `Summary` that it needs of each `Stream` of images; an
    `Accumulator` makes it from each `Batch`, and the score is computed from the `Kept` summaries and the `Context`.
    `Score`: what a metric returns, with a `Value` for each number. `Role`: the name of a stream.
    `Chart` with its `Line`s, `Table`, `Grid`: figures that a score brings to the page.
    `Extractor`: a network that turns images into features; `Examples` are the labelled images that it may learn from;
    `hash_of` its weights is part of a score's protocol, `in_colour` repeats grey images over three channels.

Around a run
    `Instrument`: numbers of a run between two iterations; it measures a `Subject`, and may be shown each `Step`.
    `RunContext`: what a callback or logger is given of its run.  `Ending`: what callbacks say of how it ends.
"""

from ganlab.contracts.address import Address
from ganlab.contracts.callback import Ending, RunContext
from ganlab.contracts.dataset import Dataset, Picture
from ganlab.contracts.extractor import Examples, Extractor, hash_of, in_colour
from ganlab.contracts.figures import Chart, Grid, Line, Table
from ganlab.contracts.game import Game
from ganlab.contracts.growth import Grows, Growth, Stage
from ganlab.contracts.instrument import Instrument, Step, Subject
from ganlab.contracts.metric import Accumulator, Batch, Context, Kept, Metric, Role, Score, Stream, Summary, Value
from ganlab.contracts.plan import Progress
from ganlab.contracts.points import Points
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Objectives, Player, Terms, Turn
from ganlab.contracts.view import View

__all__ = [
    "Accumulator",
    "Address",
    "Batch",
    "Chart",
    "Context",
    "Dataset",
    "Ending",
    "Examples",
    "Extractor",
    "Game",
    "Grid",
    "Grows",
    "Growth",
    "Instrument",
    "Kept",
    "Line",
    "Metric",
    "Objectives",
    "Picture",
    "Player",
    "Points",
    "Progress",
    "Regularizer",
    "Role",
    "RunContext",
    "Score",
    "Stage",
    "Step",
    "Stream",
    "Subject",
    "Summary",
    "Table",
    "Terms",
    "Turn",
    "Value",
    "View",
    "hash_of",
    "in_colour",
]
