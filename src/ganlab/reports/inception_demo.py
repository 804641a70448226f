"""The faults that the Inception Score hides: sets of images whose faults are known, and the scores that they get."""

from __future__ import annotations

import io
import itertools
import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F

from ganlab.contracts import Chart, Extractor, Line, Table
from ganlab.core import randomness
from ganlab.core.errors import GanlabError
from ganlab.data.run_images import RunData
from ganlab.evaluation import protocol
from ganlab.evaluation.engine import Evaluator
from ganlab.evaluation.sources import Source
from ganlab.reports import pages
from ganlab.reports.numbers import number
from ganlab.reports.pages import Part

FILE = "inception_score.html"
SCORES = ("is", "h_y", "h_y_given_x", "fid", "kid", "nearer_than_train", "copies")
HEADS = ("IS", "H(y)", "H(y|x)", "FID", "KID", "nearer", "copies")
SPLITS = (1, 2, 5, 10, 20)
_GRID = 400_001  # points of the quadrature in one dimension
_STEPS, _RATE = 150, 0.1  # of the noise that is optimised
_TRIED = 8  # seeds of classifiers, for two that are equally accurate
_LETTERS = "ABCDEFGHJKMNPQRTUVWXY"


@dataclass
class ImageSet:
    """Images that a generator with a known fault would make.

    Args:
        name: What the table calls it.
        about: The fault, in a sentence.
        images: uint8 (N, C, H, W).
    """

    name: str
    about: str
    images: Tensor


@dataclass
class Demo:
    """The results.

    Args:
        gaussians: The Inception Score of distributions on the line, by what they are.
        sets: The sets of images.
        values: A score, by set and name; of the first classifier.
        splits: Mean and deviation of the Inception Score by number of splits, by set.
        classifiers: Held-out accuracy of two classifiers that differ in their seed alone.
        second: The Inception Score of each set by the second of them.
    """

    gaussians: dict[str, float]
    sets: list[ImageSet]
    values: dict[str, dict[str, float]]
    splits: dict[str, dict[int, tuple[float, float]]]
    classifiers: tuple[float, float]
    second: dict[str, float]


def inception_score(real: RunData, cache: Path, seed: int = 0) -> Demo:
    """Score sets of images whose faults are known, on the user's own labelled data.

    Args:
        real: The data, with labels and held-out splits.
        cache: ganlab's cache folder, for the two classifiers.
        seed: Of whatever is drawn.

    Raises:
        GanlabError: If the data has no labels or nothing was held out.
    """
    if real.images.labels is None or not len(real.splits["test"]):
        raise GanlabError("The demonstration needs labelled data of which a part is held out, as data=digits.")
    first, other = _equally_accurate(_evaluator(real, cache, seed + offset) for offset in range(_TRIED))
    assert first.extractor is not None
    sets = image_sets(real, first.extractor, seed)
    results = {s.name: first.score(_source(s)) for s in sets}
    values = {
        name: {score: value.value for found in result.scores.values() for score, value in found.values.items()}
        for name, result in results.items()
    }
    splits = {
        name: {n: (of["mean"], of["std"]) for n, of in result.scores["is"].details["splits"].items() if n in SPLITS}
        for name, result in results.items()
    }
    second = {s.name: other.score(_source(s)).scores["is"].values["is"].value for s in sets}
    return Demo(gaussians(), sets, values, splits, (_accuracy(first), _accuracy(other)), second)


def gaussians() -> dict[str, float]:
    """The Inception Score of distributions on the line, under the best classifier there is, by quadrature.

    The data are an even mixture of N(-1, 2) and N(1, 2), variances 2, so that p(y = 1|x) = 1 / (1 + exp(-x)), and
    for a symmetric q(x) the score is exp(log 2 - E_q[H(y|x)]): at most 2, the further out the higher.

    Source: the setting of Barratt & Sharma 2018 (arXiv:1801.01973), section 3.2.
    """

    def normal(mean: float, variance: float) -> Callable[[Tensor], Tensor]:
        return lambda x: torch.exp(-(x - mean).square() / (2 * variance)) / math.sqrt(2 * math.pi * variance)

    densities: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
        "the data themselves": (lambda x: (normal(-1, 2)(x) + normal(1, 2)(x)) / 2, 30),
        "N(0, 20)": (normal(0, 20), 60),
        "U(-100, 100)": (lambda x: torch.full_like(x, 1 / 200), 100),
    }
    found = {name: _score_on_the_line(density, limit) for name, (density, limit) in densities.items()}
    # H(y|x) goes to 0 as x goes to either end
    return {**found, "half at -infinity, half at infinity": math.exp(math.log(2) - 0.0)}


def _score_on_the_line(density: Callable[[Tensor], Tensor], limit: float) -> float:
    x = torch.linspace(-limit, limit, _GRID, dtype=torch.float64)
    q = density(x)
    # H(y|x) = softplus(x) - x p for p = sigmoid(x), which loses nothing far out
    entropy = F.softplus(-x.abs()) + x.abs() * torch.sigmoid(-x.abs())
    return math.exp(math.log(2) - float(torch.trapezoid(q * entropy, x) / torch.trapezoid(q, x)))


def image_sets(real: RunData, extractor: Extractor, seed: int) -> list[ImageSet]:
    """Sets of as many images each, since the scores depend on how many there are."""
    pixels, labels, splits = real.images.pixels, real.images.labels, real.splits
    assert labels is not None
    held_out = splits["validation"]
    count, classes = len(held_out), real.images.num_classes
    generator = randomness.generator("cpu", seed, "demo")
    copied = splits["train"][torch.randperm(len(splits["train"]), generator=generator)[:count]]
    noise = torch.randint(0, 256, (count, *pixels.shape[1:]), generator=generator).byte()
    turn = torch.arange(count) % classes
    return [
        ImageSet("held-out images", "real images that neither classifier nor generator saw", pixels[held_out]),
        ImageSet("training images", "a generator that knows its training images by heart", pixels[copied]),
        ImageSet(
            "one image a class",
            "a generator with one perfect image of each class",
            _best(pixels[splits["train"]], labels[splits["train"]], extractor, classes)[turn],
        ),
        ImageSet("optimised noise", "noise, moved until the classifier was sure", _sure(noise, turn, extractor)),
        ImageSet("letters", "other data: letters where the data's classes should be", _letters(count, pixels)),
        ImageSet("noise", "uniform noise", noise),
    ]


@torch.no_grad()
def _best(pixels: Tensor, labels: Tensor, extractor: Extractor, classes: int) -> Tensor:
    """The training image of each class that the classifier is surest of."""
    parts = [extractor.extract(part)[1] for part in pixels.split(256)]
    log_p = torch.cat([part for part in parts if part is not None]).log_softmax(1)
    chosen = [
        torch.where(labels == label, log_p[:, label], log_p.new_tensor(-math.inf)).argmax() for label in range(classes)
    ]
    return pixels[torch.stack(chosen)]


def _sure(noise: Tensor, targets: Tensor, extractor: Extractor) -> Tensor:
    """Noise after some steps of Adam on the classifier's log-probability of a class that was chosen beforehand."""
    latent = torch.logit((noise.float() + 0.5) / 256).requires_grad_()
    optimizer = torch.optim.Adam([latent], lr=_RATE)
    for _ in range(_STEPS):
        logits = extractor.extract(255 * latent.sigmoid())[1]
        assert logits is not None
        (gradient,) = torch.autograd.grad(F.cross_entropy(logits, targets, reduction="sum"), latent)
        latent.grad = gradient
        optimizer.step()
    return (255 * latent.detach().sigmoid()).round().byte()


def _letters(count: int, pixels: Tensor) -> Tensor:
    """Letters of Pillow's own font, drawn large and brought to the size of the data; none looks like a digit."""
    channels, height, width = pixels.shape[1:]
    scale = 8
    drawn = []
    for index in range(count):
        canvas = Image.new("L", (width * scale, height * scale))
        font = ImageFont.load_default(size=(0.8 + 0.3 * (index // len(_LETTERS) % 4) / 3) * height * scale)
        centre = ((width / 2 + index % 3 - 1) * scale, height * scale / 2)
        ImageDraw.Draw(canvas).text(centre, _LETTERS[index % len(_LETTERS)], fill=255, font=font, anchor="mm")
        small = canvas.resize((width, height), Image.Resampling.BOX)
        drawn.append(torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8).view(1, height, width))
    return torch.stack(drawn).expand(-1, channels, -1, -1).contiguous()


def _evaluator(real: RunData, cache: Path, seed: int) -> Evaluator:
    chosen = protocol.preset("digits").changed(
        {
            "metrics": ["is", "fid", "kid", "memorization"],
            "is.splits": 1,  # of so few images each part would hold a handful
            "features": "classifier",
            "features.seed": seed,
        }
    )
    return Evaluator(chosen, real, cache=cache)


def _equally_accurate(evaluators: Iterable[Evaluator]) -> tuple[Evaluator, Evaluator]:
    """The first two whose classifiers are equally accurate on held-out images, after which no more are made; or the two
    that are nearest to it."""
    made: list[Evaluator] = []
    for evaluator in evaluators:
        for other in made:
            if round(_accuracy(other), 3) == round(_accuracy(evaluator), 3):
                return other, evaluator
        made.append(evaluator)
    return min(itertools.combinations(made, 2), key=lambda pair: abs(_accuracy(pair[0]) - _accuracy(pair[1])))


def _accuracy(evaluator: Evaluator) -> float:
    assert evaluator.extractor is not None
    return float(evaluator.extractor.describe()["held_out_accuracy"])


def _source(images: ImageSet) -> Source:
    def rows(start: int, stop: int) -> tuple[Tensor, None, Tensor]:
        return images.images[start:stop], None, torch.tensor(True)

    channels, height, width = images.images.shape[1:]
    return Source(len(images.images), (channels, height, width), 0, rows)


# --- to be read


def text(demo: Demo) -> str:
    """The tables, for a terminal."""
    width = max(len(name) for name in [*demo.values, *demo.gaussians])
    lines = [
        "The Inception Score on the line: data 1/2 N(-1, 2) + 1/2 N(1, 2), the best classifier there is, at most 2"
    ]
    lines += [f"  {name:<{width}}  {score:6.3f}" for name, score in demo.gaussians.items()]
    lines += ["", f"Images: {len(demo.sets[0].images)} of each kind, against the test images"]
    lines += [f"  {'':<{width}}  " + "  ".join(f"{head:>8}" for head in HEADS)]
    for name, values in demo.values.items():
        lines.append(f"  {name:<{width}}  " + "  ".join(f"{number(values[score]):>8}" for score in SCORES))
    lines += ["", "Inception Score by number of splits"]
    lines += [f"  {'':<{width}}  " + "  ".join(f"{n:>13}" for n in SPLITS)]
    for name, splits in demo.splits.items():
        cells = [f"{mean:6.3f} ± {deviation:4.2f}" for mean, deviation in (splits[n] for n in SPLITS)]
        lines.append(f"  {name:<{width}}  " + "  ".join(f"{cell:>13}" for cell in cells))
    first, second = demo.classifiers
    lines += ["", f"Two classifiers that differ in their seed: {100 * first:.1f} % and {100 * second:.1f} % right"]
    for name in demo.values:
        lines.append(f"  {name:<{width}}  {demo.values[name]['is']:6.3f}  {demo.second[name]:6.3f}")
    return "\n".join([*lines, "", *conclusions(demo)])


def conclusions(demo: Demo) -> list[str]:
    """Conclusions from the numbers of this demonstration."""
    real = demo.values["held-out images"]
    rivals = {name: v["is"] for name, v in demo.values.items() if v["is"] > real["is"] and name != "training images"}
    found = []
    if rivals:
        named = ", ".join(f"{name} ({number(score)})" for name, score in rivals.items())
        found.append(f"IS puts {named} above real images ({number(real['is'])}).")
    fooled = [name for name in rivals if demo.values[name]["fid"] > 2 * real["fid"] and _kid_tells(demo, name)]
    if fooled:
        found.append(f"FID and KID tell {', '.join(fooled)} from real images.")
    copies = demo.values["training images"]
    if copies["fid"] < 2 * real["fid"] and copies["copies"] > 0.5 > real["copies"]:
        share = f"{100 * copies['copies']:.0f} %"
        found.append(f"IS, FID and KID all pass training images for new ones; copies ({share}) does not.")
    changes = [abs(demo.second[n] - v["is"]) for n, v in demo.values.items()]
    found.append(
        f"Between the two classifiers the score differs by {number(statistics.median(changes))} in the median, and by "
        f"{number(max(changes))} at most."
    )
    return found


def _kid_tells(demo: Demo, name: str) -> bool:
    real, other = demo.values["held-out images"], demo.values[name]
    return other["kid"] > real["kid"] + 2 * max(real["kid_std"], other["kid_std"])


def write(demo: Demo, folder: Path) -> Path:
    """Write the tables, a chart over the number of splits and some images of each set as a page.

    Raises:
        GanlabError: If it cannot be written.
    """
    shown = ("held-out images", "one image a class", "optimised noise")
    lines = [Line(name, [(n, demo.splits[name][n][0]) for n in SPLITS]) for name in shown]
    rows: list[list[str | float]] = [
        [s.name, *(demo.values[s.name][score] for score in SCORES), s.about] for s in demo.sets
    ]
    first, second = (f"{100 * accuracy:.1f} % right" for accuracy in demo.classifiers)
    two = [[name, f"{v['is']:.3f}", f"{demo.second[name]:.3f}"] for name, v in demo.values.items()]
    on_the_line = [[name, f"{score:.3f}"] for name, score in demo.gaussians.items()]
    parts = [
        Part(
            "On the line",
            [
                "The data are an even mixture of N(−1, 2) and N(1, 2), and the classifier is the best there is. The "
                "score grows with the distance from the data; 2 is the most there can be."
            ],
            tables=[Table("", ["distribution", "Inception Score"], on_the_line)],
        ),
        Part(
            "Images with known faults",
            [
                f"{len(demo.sets[0].images)} of each kind, against the test images. Nearer: probability that a sample "
                "is nearer to the training set than a training image is to the others; copies: share of samples at "
                "less than half the least usual distance."
            ],
            pictures=[pages.embedded(_mosaic(s.images), s.name) for s in demo.sets],
            tables=[Table("", ["images", *HEADS, "what they are"], rows)],
        ),
        Part(
            "Number of splits",
            ["The same images, cut into more parts: each part knows its own p(y) only, so the score falls."],
            charts=[Chart("Inception Score", "splits", "IS", lines)],
        ),
        Part(
            "Two classifiers",
            ["They differ in nothing but the seed of their training."],
            tables=[Table("", ["images", first, second], two)],
        ),
    ]
    title = "What the Inception Score hides"
    return pages.save(folder / FILE, "parts.html", title=title, text=conclusions(demo), parts=parts)


def _mosaic(images: Tensor, rows: int = 4, columns: int = 10, zoom: int = 3) -> bytes:
    """Return the first images of a set as a PNG."""
    tiles = images[: rows * columns]
    count, channels, height, width = tiles.shape
    grid = tiles.new_full((rows * columns, channels, height + 1, width + 1), 128)
    grid[:count, :, :height, :width] = tiles
    whole = grid.view(rows, columns, channels, height + 1, width + 1).permute(0, 3, 1, 4, 2)
    array = whole.reshape(rows * (height + 1), columns * (width + 1), channels).squeeze(-1).numpy()
    picture = Image.fromarray(array)
    file = io.BytesIO()
    picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.NEAREST).save(file, format="png")
    return file.getvalue()
