"""The signs of a run that fails: pure functions of what was measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from ganlab.config.sections import GuardOptions
from ganlab.runs.guard.history import History, Point, median, streak, values

DIVERSITY = "guard/images/diversity"
WARM = 4  # measurements before a quantity is compared with its own past
LARGEST = 1e6  # a loss or a logit of this size: float32 no longer sees what is added to it
ALIKE = 1e-4  # of the distances of real images: untrained networks may begin with 0.004
READ = 0.25  # of the images, from which the asked class must once have been read
GROWN = 200  # iterations in which moments are compared
FILLED = 50  # iterations after which Adam's second moments, which begin at 0, are a twentieth of what they will be
FEW = 1 / 3  # of the different labels that a batch should have
UNRELATED = 3.0  # standard deviations: one in 700 sets of labels that belong to nothing reaches it
LOST = 1 / 3  # of the threshold: what has dropped so far is sure at once
STRAIGHT = 0.015  # a step turns by less where the momentum is above 0.985: by 1 - momentum where gradients are noise
STANDING = 1e-9  # a step relative to the weights that float32 does not see


@dataclass(frozen=True)
class Sign:
    """A sign of failure.

    Args:
        name: ``collapse``, ``explosion`` and so on, as in the table of docs/guard.md.
        quantity: The name of what shows it in metrics.jsonl.
        began: The first iteration in which it was seen.
        sentence: The evidence.
        sure: Whether it lasts long enough; False: it is only suspected.
        stays: Whether it is of the data set or the game, so that it stays whatever is drawn.
    """

    name: str
    quantity: str
    began: int
    sentence: str
    sure: bool = True
    stays: bool = False


def found(history: History, limits: GuardOptions) -> list[Sign]:
    """Return the signs that the last measurement shows, sure ones and suspected ones."""
    return [sign for look in SIGNS for sign in look(history, limits)]


def _sign(name: str, quantity: str, part: Sequence[Point], needed: int, sentence: str) -> Iterator[Sign]:
    """Yield the sign of a streak of points, if there is any.

    Args:
        needed: Points from which on it is sure.
        sentence: The evidence, with ``{now}`` for the last value.
    """
    if part:
        yield Sign(name, quantity, part[0][0], sentence.format(now=part[-1][1]), len(part) >= needed)


def not_finite(history: History, limits: GuardOptions) -> Iterator[Sign]:
    """A number that is NaN or infinite."""
    for name in history.names(lambda name: True):
        part = streak(history[name], lambda value: not math.isfinite(value))
        yield from _sign("not_finite", name, part, 1, f"{name} is {{now}}.")


def explosion(history: History, limits: GuardOptions) -> Iterator[Sign]:
    """Weights, gradients, losses, logits or singular values that grow beyond all that they were."""
    if limits.explosion is None:
        return
    for name in history.names(_may_explode):
        points = history[name]
        past = [abs(value) for value in values(points[: -limits.patience]) if math.isfinite(value)]
        usual = median(past) if len(past) >= WARM else math.inf
        most = min(LARGEST if _is_objective(name) else math.inf, limits.explosion * max(usual, 1.0))
        part = streak(points, lambda value, most=most: abs(value) > most)  # type: ignore[misc]
        before = f"; its median before was {usual:.3g}" if math.isfinite(usual) else ""
        needed = 1 if most == LARGEST else limits.patience
        yield from _sign("explosion", name, part, needed, f"{name} is {{now:.3g}}{before}.")


def fast_growth(history: History, limits: GuardOptions) -> Iterator[Sign]:
    """Moments, which are means over many steps, that grow as means cannot, and stay so."""
    if limits.growth is None:
        return
    for name in history.names(lambda name: name.startswith("guard/") and name.endswith("/moments")):
        points = history[name]
        grown: list[Point] = []  # of the looks in succession up to the last one: the least moment before each
        for end in range(len(points), 0, -1):
            least = _least(points[:end])
            if least is None or not math.inf > points[end - 1][1] > limits.growth * max(least[1], 1.0):
                break
            grown.append(least)
        if grown:
            began, before = grown[-1]
            sentence = f"{name} has grown from {before:.3g} at iteration {began} to {points[-1][1]:.3g}."
            yield Sign("explosion", name, began + 1, sentence, len(grown) >= limits.patience)


def _least(points: Sequence[Point]) -> Point | None:
    """Return the least of the points from `GROWN` iterations before the last one on."""
    since = max(FILLED, points[-1][0] - GROWN)
    return min((point for point in points if point[0] >= since), key=lambda point: point[1], default=None)


def unbounded(history: History, limits: GuardOptions) -> Iterator[Sign]:
    """A discriminator whose loss has no least value, and logits that nothing bounds: they grow until they fail."""
    most, name = limits.unbounded, "guard/discriminator/doubled"
    part = () if most is None else streak(history[name], lambda value: value > most)
    sentence = (
        "the discriminator's loss is linear in its logits and nothing bounds them: they are {now:.3g} times as large "
        "with twice the weights. It needs a gradient penalty, weight clipping or spectral normalization."
    )
    for sign in _sign("unbounded", name, part, 1, sentence):
        yield replace(sign, stays=True)


def large_steps(history: History, limits: GuardOptions) -> Iterator[Sign]:
    """Steps nearly as large as the weights."""
    most = limits.step
    if most is None:
        return
    for player, points in _relative_steps(history):
        part = streak(points, lambda value: value > most)
        needed = 1 if part and part[-1][1] > 3 * most else limits.patience
        sentence = f"a step of the {player} changes its weights by {{now:.0%}} of their norm."
        yield from _sign("explosion", f"guard/{player}/step", part, needed, sentence)


def overshoot(history: History, limits: GuardOptions) -> Iterator[Sign]:
    """Steps that go on as before while the gradient points elsewhere: a momentum longer than the game's own turns.

    In a bilinear game steps with positive momentum go around the equilibrium ever further out: Gidel et al. 2019
    (arXiv:1807.04740).
    """
    least = limits.descent
    if least is None:
        return
    for name in history.names(lambda name: name.startswith("guard/") and name.endswith("/descent")):
        player = name.split("/")[1]
        turns = dict(history[f"guard/{player}/turn"])
        straight = streak([(i, turns.get(i, 1.0)) for i, _ in history[name]], lambda turn: turn < STRAIGHT)
        part = history[name][len(history[name]) - len(straight) :][-limits.patience :]
        if part and sum(values(part)) / len(part) < least:
            sentence = (
                f"steps of the {player} go on as before and not along its gradient: of their effect on its loss only "
                f"{max(0.0, sum(values(part)) / len(part)):.0%} is left."
            )
            yield from _sign("overshoot", name, part, limits.patience, sentence)


def frozen(history: History, limits: GuardOptions) -> Iterator[Sign]:
    """A player whose weights do not move."""
    for player, points in _relative_steps(history):
        part = streak(points, lambda value: value < STANDING)
        sentence = f"the weights of the {player} do not move."
        yield from _sign("frozen", f"guard/{player}/step", part, limits.patience, sentence)


def won(history: History, limits: GuardOptions) -> Iterator[Sign]:
    """A discriminator whose loss is at its floor for long, while the generator's gradient vanishes."""
    losses, gradients = history["discriminator/adversarial"], history["guard/generator/gradient"]
    share = limits.won
    if share is None or len(losses) < WARM or len(gradients) < WARM:
        return
    early = max(abs(value) for value in values(losses[:WARM]))
    usual = max(values(gradients[:WARM]))
    low = streak(losses, lambda value: abs(value) < share * early)
    small = streak(gradients, lambda value: value < share * usual)
    yield from _sign(
        "won", "guard/generator/gradient", min(low, small, key=len), 2 * limits.patience,
        f"the discriminator has won: its loss is below {share:g} of what it was, {early:.2g}, and the generator's "
        f"gradient has gone from {usual:.2g} to {{now:.2g}}.",
    )  # fmt: skip


def jump(history: History, limits: GuardOptions) -> Iterator[Sign]:
    """A discriminator's loss that was near zero for long and rises suddenly: Brock et al. 2019, section 4.2."""
    points = history["discriminator/adversarial"]
    if limits.jump is None or len(points) < 4 * WARM:
        return
    usual = median([abs(value) for value in values(points[-3 * WARM : -limits.patience])])
    early = max(abs(value) for value in values(points[:WARM]))
    if usual > 0.1 * early:
        return
    most = max(limits.jump * usual, 0.5 * early)
    part = streak(points, lambda value: abs(value) > most)
    sentence = f"the discriminator's loss, {usual:.2g} before, has jumped to {{now:.2g}}."
    yield from _sign("jump", "discriminator/adversarial", part, limits.patience, sentence)


def collapse(history: History, limits: GuardOptions) -> Iterator[Sign]:
    """Images of fixed latents that have no differences, or have lost them, over all or within classes."""
    if limits.collapse is not None:
        part = streak(history[DIVERSITY], lambda value: value < ALIKE)
        sentence = "the images are all alike: they differ by {now:.2g} of what real images do."
        yield from _sign("collapse", DIVERSITY, part, limits.patience, sentence)
    for quantity, of in ((DIVERSITY, "images"), ("guard/images/class_diversity", "images of a class")):
        yield from _drop(
            "collapse", quantity, history, limits.collapse, limits.patience, 0.0,
            f"the {of} differ by {{now:.3g}} of what real images do, after {{past}} before.", LOST,
        )  # fmt: skip


def classes(history: History, limits: GuardOptions) -> Iterator[Sign]:
    """Classes that die: they can no longer be read from images of which they were asked."""
    yield from _drop(
        "classes", "guard/labels/fakes", history, limits.labels, 2 * limits.patience, READ,
        "the asked class can be read from a share of {now:.2g} of the generated images, after {past} before.",
    )  # fmt: skip


def data(history: History, limits: GuardOptions) -> Iterator[Sign]:
    """Classes without images, and labels that do not belong to their images."""
    for quantity, least, needed, sentence in (
        ("alive", 0.5, 1, "{now:.0%} of the classes have images."),
        ("classes", FEW, limits.patience, "a batch has {now:.0%} of the different labels that it should have."),
        ("evidence", UNRELATED, 1,
         "labels say nothing of their images: read from the pixels they agree by {now:.1f} standard deviations more "
         "than labels in another order would."),
    ):  # fmt: skip
        part = streak(history[f"guard/labels/{quantity}"], lambda value, least=least: value < least)  # type: ignore[misc]
        for sign in _sign("data", f"guard/labels/{quantity}", part, needed, sentence):
            yield replace(sign, stays=quantity != "classes")


def cycle(history: History, limits: GuardOptions) -> Iterator[Sign]:
    """Images that go around in a circle: the mean one comes back to where it was, again and again."""
    returned, swing = history["guard/images/recurrence"], history["guard/images/swing"]
    share = limits.cycle
    if share is None or len(returned) < 8 * WARM or len(swing) != len(returned):
        return
    far = [(at, value if way > 0.5 else math.inf) for (at, value), (_, way) in zip(returned, swing, strict=True)]
    part = streak(far, lambda value: value < share)
    sentence = "images go around: the mean one has come back to {now:.0%} of the way that it went."
    yield from _sign("cycle", "guard/images/recurrence", part, 2 * WARM, sentence)


def score(history: History, limits: GuardOptions) -> Iterator[Sign]:
    """A score during training that has become much worse than its best one."""
    most = limits.score
    for name in history.names(lambda name: name.startswith("evaluation/")):
        points = history[name]
        if most is None or len(points) < 2:
            continue
        best = min(values(points[:-1]))
        way = points[0][1] - best  # so that noise around 0 is no change
        worst = max(best * most if best > 0 else best / most, best + 0.1 * way)
        part = streak(points, lambda value, worst=worst: value > worst)  # type: ignore[misc]
        yield from _sign("score", name, part, 1, f"{name} has risen to {{now:.3g}} after {best:.3g} at its best.")


SIGNS: Sequence[Callable[[History, GuardOptions], Iterator[Sign]]] = (
    not_finite, explosion, fast_growth, unbounded, large_steps, overshoot, frozen, collapse, classes, data, won, jump,
    cycle, score,
)  # fmt: skip


def _drop(
    name: str,
    quantity: str,
    history: History,
    share: float | None,
    needed: int,
    least: float,
    sentence: str,
    lost: float = 0.0,
) -> Iterator[Sign]:
    """Yield the sign that a quantity has dropped below a share of what it mostly was, which was at least ``least``.

    Args:
        lost: Part of that share below which one point is enough.
    """
    points = history[quantity]
    past = values(points[:-1])
    if share is None or not past:
        return
    usual = sorted(past)[3 * len(past) // 4]  # early values and those of the fall count little
    if usual < least:
        return
    part = streak(points, lambda value: value < share * usual)
    fall = streak(points, lambda value: value < (1 + share) / 2 * usual)  # it begins half-way
    if fall:
        said = sentence.format(now=fall[-1][1], past=f"{usual:.2g}")
        sure = len(part) >= needed or fall[-1][1] < lost * share * usual
        yield Sign(name, quantity, fall[0][0], said, sure)


def _relative_steps(history: History) -> Iterator[tuple[str, list[Point]]]:
    for name in history.names(lambda name: name.startswith("guard/") and name.endswith("/step")):
        player = name.split("/")[1]
        weights = dict(history[f"guard/{player}/weights"])
        points = [(i, value / max(weights.get(i, 0.0), 1e-12)) for i, value in history[name]]
        yield player, [(i, value) for i, value in points if math.isfinite(value)]


def _is_objective(name: str) -> bool:
    return not name.startswith(("guard/", "spectra/", "evaluation/"))


def _may_explode(name: str) -> bool:
    of_guard = name.startswith("guard/") and name.rpartition("/")[2] in ("weights", "gradient")
    return _is_objective(name) or of_guard or name.endswith("/sigma0")
