"""A run in Python and in a notebook: scored, continued, shown, and its files as tables."""

from __future__ import annotations

import base64
import html
import importlib.util
import io
import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor
from typing_extensions import Self

from ganlab.core import json_lines
from ganlab.core.errors import GanlabError
from ganlab.evaluation import protocol as protocols
from ganlab.evaluation import scores
from ganlab.runs import run_folder
from ganlab.sampling import generation

SHOWN = 40  # images of the grid that a notebook shows


class InNotebook:
    """The part of `ganlab.Run` that does the work of the commands, and reads its files as tables."""

    folder: Path
    checkpoint: Path

    @property
    @abstractmethod
    def config(self) -> Any: ...

    @property
    @abstractmethod
    def iteration(self) -> int: ...

    @abstractmethod
    def load(self, checkpoint: Any) -> None: ...

    @abstractmethod
    def sample(self, count: int, labels: Any = None, **options: Any) -> Tensor: ...

    def evaluate(self, protocol: str | None = None, device: str = "cpu", **options: Any) -> dict[str, float]:
        """Score these weights as ``ganlab evaluate`` does, and append the record to the run's evaluation.jsonl.

        Args:
            protocol: Its name; None: the data's own best one.
            device: Where images are made and features extracted.
            options: Of the protocol: ``metrics=["fid", "kid"]``, ``features="inception"``, ``samples=5000``, and
                options of both as ``**{"kid.subsets": 10}``.

        Returns:
            Each number by its name; ``scores`` has intervals and the protocol.

        Raises:
            GanlabError: If the protocol is unknown, or does not fit the run.
        """
        from ganlab.runs import scoring

        name = protocol or str(self.config["data"].name)
        chosen = protocols.preset(name if name in protocols.names() else "fast").changed(options)
        if "metrics" not in options and not self.config.data.num_classes:
            chosen = chosen.without_labels()
        (record,) = scoring.evaluate_run(self.folder, chosen, which=str(self.checkpoint), device=device)
        return {key: value["value"] for key, value in record["values"].items()}

    def resume(self, **options: Any) -> Self:
        """Continue training from the newest checkpoint, as ``ganlab resume`` does, and take the weights at its end.

        Args:
            options: Changed ones, as of `ganlab.train`: ``trainer={"max_steps": 5000}``.

        Raises:
            GanlabError: If there is nothing to continue, or a change does not fit.
        """
        from ganlab.config import command_line
        from ganlab.runs import choice, session

        words = command_line.parse(command_line.words(options))
        outcome = session.resume(self.folder, {o.get_key_element().lstrip("+"): o.value() for o in words})
        if outcome.unsaved is not None:
            raise GanlabError(outcome.unsaved)
        self.load(choice.NEWEST)
        return self

    def grid(
        self, count: int = SHOWN, columns: int = 10, labels: int | Sequence[int] | None = None, **options: Any
    ) -> Image.Image:
        """Draw samples side by side.

        Args:
            count: How many.
            columns: Images in a row.
            labels: See `Run.sample`; None: as there, or one class after the other where there are classes.
            options: Further ones of `Run.sample`: ``truncation``, ``seed``, ...

        Raises:
            GanlabError: As `Run.sample`.
        """
        if not isinstance(columns, int) or columns < 1:
            raise GanlabError(f"columns must be a whole number of at least 1, got {columns!r}.")
        classes = self.config.data.classes
        if labels is None and classes:
            labels = [i % classes for i in range(count)]
        canvas = generation.grid(self.sample(count, labels, **options), min(columns, count))
        array = canvas.permute(1, 2, 0).numpy()  # (H, W, C)
        return Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array[:, :, :3])

    def save(self, path: str | os.PathLike[str], count: int = SHOWN, columns: int = 10, **options: Any) -> Path:
        """Write the picture of `grid`.

        Args:
            path: A file that ends in .png, .jpg or another name that Pillow knows.

        Raises:
            GanlabError: If it cannot be written; and as `grid`.
        """
        picture, file = self.grid(count, columns, **options), Path(os.path.expanduser(path))
        try:
            picture.save(file)
        except (OSError, ValueError) as error:
            raise GanlabError(f"{path} cannot be written as a picture: {error}.") from error
        return file

    @property
    def metrics(self) -> Any:
        """The lines of metrics.jsonl: a pandas DataFrame where pandas is installed, or a list of dictionaries.

        Raises:
            GanlabError: If the file cannot be read.
        """
        try:
            lines = [line for _, line in json_lines.read(self.folder / run_folder.METRICS) if isinstance(line, dict)]
        except FileNotFoundError:
            lines = []
        except OSError as error:
            raise GanlabError(f"{self.folder / run_folder.METRICS} cannot be read: {error.strerror}.") from error
        return _table(lines)

    @property
    def scores(self) -> Any:
        """A row for each number of evaluation.jsonl: its name, value, interval, checkpoint and protocol; as `metrics`.

        Raises:
            GanlabError: If the file cannot be read.
        """
        rows = []
        for record in scores.read(self.folder):
            subject, protocol = record["subject"], record["protocol"]
            shared = {"checkpoint": subject.get("checkpoint"), "iteration": subject.get("iteration")}
            for name, value in record["values"].items():
                number = {key: value.get(key) for key in ("value", "low", "high", "better")}
                of = {"subject": scores.title(record), "protocol": protocol.get("name")}
                rows.append({"metric": name, **number, **shared, **of, "hash": record.get("protocol_hash")})
        return _table(rows)

    def __repr__(self) -> str:
        config, parts = self.config, []
        for kind in ("generator", "discriminator", "loss", "data"):
            if kind in config:
                parts.append(f"{kind}={config[kind].name}")
        reg = ",".join(config.of("reg"))
        return f"<ganlab.Run {self.folder.name}: {' '.join(parts)} reg={reg or 'none'}, iteration {self.iteration:,}>"

    def _repr_html_(self) -> str:
        """Return the same with a grid, for a notebook."""
        text = f"<p><code>{html.escape(repr(self).strip('<>'))}</code></p>"
        try:
            picture = self.grid()
        except GanlabError as error:  # a game without a generator
            return f"{text}<p>{html.escape(str(error))}</p>"
        file = io.BytesIO()
        picture.save(file, format="PNG")
        return f'{text}<img alt="samples" src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}">'


def _table(rows: Sequence[Mapping[str, Any]]) -> Any:
    if importlib.util.find_spec("pandas") is None:
        return rows
    import pandas

    return pandas.DataFrame(rows)
