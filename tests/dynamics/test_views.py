"""The views of ``ganlab dynamics``: margins, games side by side, pits in motion, and bounds of the slope."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from support.refusals import refusal

from ganlab.commands.command import load
from ganlab.dynamics import bounds, energy, margins, pits, training
from ganlab.dynamics.training import Training

SMALL = ["data.count=200", "generator.width=8", "generator.depth=1", "discriminator.width=8", "discriminator.depth=2",
         "data.batch_size=8"]  # fmt: skip


def of(*words: str) -> Training:
    return Training(training.configuration("ring", [*SMALL, *words]))


def test_the_hinge_has_margins_and_other_losses_have_none() -> None:
    """max(0, m - D) has no slope from D = m on, where U = -m; max(0, m + D) none from U = m on."""
    assert margins.of(of("loss=hinge")) == pytest.approx((-1, 1), abs=0.011)
    assert margins.of(of("loss=hinge", "loss.margin=2.5")) == pytest.approx((-2.5, 2.5), abs=0.011)
    for loss in ("non_saturating", "wasserstein", "least_squares", "relativistic", "gan_qp"):
        assert margins.of(of(f"loss={loss}")) is None


def test_points_beyond_the_margin_are_counted() -> None:
    played = of("loss=hinge", "loss.margin=0.02")
    found = energy.landscape(played)
    with torch.no_grad():
        reals, samples = played.energy(played.points), played.energy(found.samples)
    assert found.margins is not None
    assert found.beyond is not None
    deep, high = found.margins
    expected = (reals <= deep).float().mean(), (samples >= high).float().mean()
    assert found.beyond == pytest.approx([float(share) for share in expected])
    assert 0 < sum(found.beyond) < 2
    assert "beyond the margin" in str(found)


@pytest.mark.parametrize("data", ["ring", "gaussians"])
def test_margins_are_drawn_black(data: str) -> None:
    def black(*words: str) -> int:
        played = Training(training.configuration(data, [*SMALL, *words]))
        drawn = energy.picture(energy.landscape(played), played.points, 64)
        return int((drawn.amax(0) == 0).sum())

    assert black("loss=hinge", "loss.margin=10") == 0  # an untrained discriminator is within them
    assert black("loss=hinge", "loss.margin=0.2") > 20


def test_a_clipped_weight_lies_at_the_limit_and_a_normalized_one_has_the_norm_1() -> None:
    clipped = bounds.watch("clipped", of("loss=wasserstein", "reg=weight_clipping"), 30)
    normalized = bounds.watch("normalized", of("loss=wasserstein", "reg=sn", "reg.sn.exact=true"), 3)
    assert clipped.at_limit > 0.2
    assert normalized.at_limit < 0.1
    torch.testing.assert_close(normalized.norms, torch.ones(4, 3), rtol=0, atol=1e-5)
    assert normalized.products == pytest.approx([1, 1, 1, 1], abs=1e-4)
    assert max(normalized.constants) <= 1 + 1e-5


def test_power_iteration_comes_to_the_largest_singular_value() -> None:
    """Vectors come nearer by (s1 / s0)² a round, and σ = uᵀWv, which is largest at the singular ones, by the square of
    that, here 1/16, when the start is forgotten.
    """
    random = torch.Generator().manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(6, 6, generator=random, dtype=torch.float64))[0] for _ in range(2))
    weight = left @ torch.diag(torch.tensor([2.0, 1.0, 0.5, 0.2, 0.1, 0.0], dtype=torch.float64)) @ right
    errors = bounds.iterated(weight, 12)
    assert errors[7] / errors[6] == pytest.approx(1 / 16, rel=1e-3)
    assert errors[-1] < 1e-12


def test_samples_in_motion_end_where_they_were_counted() -> None:
    (found,) = pits.roll([0.9])
    assert found.left_at(0) == 0
    assert found.left_at(len(found.paths) - 1) == found.left
    assert pits.picture(found, 3, 64).shape == (3, 64, 64)


@pytest.mark.parametrize(
    ("words", "size"),
    [
        (["view=energy", "beside=loss=hinge", "out=two.png", "iterations=100"], (640, 3 * 356)),
        (["view=energy", "frames=2", "out=one.webp", "iterations=100"], (512, 530)),
    ],
    ids=["beside", "film"],
)
def test_pictures_are_written(
    words: list[str], size: tuple[int, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / words[-2].removeprefix("out=")
    words = [*(word for word in words if not word.startswith("out=")), f"out={out}"]
    load("dynamics").run([*words, "problem=ring", "loss=non_saturating", *SMALL])
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "data=ring"
    labels = {line.partition(": ")[0] for line in said if line.startswith("loss=")}
    assert labels == ({"loss=non_saturating", "loss=hinge"} if "beside=loss=hinge" in words else set())
    with Image.open(out) as image:
        assert image.size == size


def test_bounds_are_drawn(tmp_path: Path) -> None:
    found = [bounds.watch(name, of(name), 2) for name in ("reg=sn", "reg=none")]
    bounds.draw(found, {"the first": [0.1, 0.01]}, tmp_path / "bounds.svg")
    assert all(name in (tmp_path / "bounds.svg").read_text() for name in ("reg=sn", "reg=none", "the first"))
    bounds.draw(found, {"the first": [0.1, 0.01]}, tmp_path / "narrow.png", columns=1)
    with Image.open(tmp_path / "narrow.png") as narrow:
        assert narrow.height > 3 * narrow.width
    assert str(found[1]).startswith("reg=none: largest slope")


@pytest.mark.slow
def test_the_command_draws_bounds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bounds.png"
    load("dynamics").run(["view=bounds", "beside=reg=sn; reg=none", "iterations=100", f"out={out}", *SMALL])
    said = capsys.readouterr().out
    assert said.startswith("data=ring\n")
    assert "reg=sn: largest slope" in said
    assert "power iteration, weights after 100 iterations" in said
    assert out.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["view=energy", "beside=reg"], "beside wants options such as"),
        (["view=energy", "beside="], "beside wants options of a second game"),
        (["view=energy", 'beside=""'], "beside wants options such as beside=\"reg=r1\", got ''"),
        (["view=energy", "beside=reg='"], "is no list of options"),
        (["view=energy", "beside=reg=r2d2"], "r2d2"),
        (["view=energy", "out=x.txt"], "out must end in"),
        (["view=pits", "out=file/x.png"], "cannot be written: Not a directory"),
        (["view=bounds", "out=file/x.png"], "cannot be written: Not a directory"),
        (["problem=ring", "out=file/x.png"], "cannot be written: Not a directory"),
        (["out=file/x.png"], "cannot be written: Not a directory"),
        (["problem="], "problem= wants a name"),
        (["view=pits", "loss=hinge"], "loss=hinge has no effect"),
        (["view=pits", "iterations=500"], "iterations has no effect"),
        (["view=pits", "beside=reg=r1"], "beside"),
        (["view=bounds", "out=x.webp"], "must end in one of"),
        (["view=bounds", "game=bigan"], "game=bigan has no discriminator of points"),
        (["beside=reg=r1"], "beside"),
        (["view=energy", "problem=digits"], "digits is no data set of points. Those are gaussians, grid, points, ring"),
        (["page", "out=x.png"], "out=x.png must end in .html"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_bad_input_is_one_sentence(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert message in refusal("dynamics", words)
