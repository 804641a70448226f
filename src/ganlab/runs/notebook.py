"""A run in Python and in a notebook: scored, continued, and its files as tables."""

from __future__ import annotations

import importlib.util
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from typing_extensions import Self

from ganlab.core import code_files, json_lines, run_files
from ganlab.core.errors import GanlabError
from ganlab.evaluation import protocol as protocols
from ganlab.evaluation import scores


class InNotebook:
    """The part of `ganlab.Run` that does the work of the commands, and reads its files as tables."""

    folder: Path
    checkpoint: Path
    code: code_files.Allowed

    @property
    @abstractmethod
    def config(self) -> Any: ...

    @property
    @abstractmethod
    def iteration(self) -> int: ...

    @abstractmethod
    def load(self, checkpoint: Any) -> None: ...

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
        from ganlab.config import code_words

        with code_files.session(self.code):
            return self._evaluated(protocol, device, {k: code_words.value(k, v) for k, v in options.items()})

    def _evaluated(self, protocol: str | None, device: str, options: Mapping[str, Any]) -> dict[str, float]:
        from ganlab.runs import choice, scoring

        where = choice.device(device)
        chosen = protocols.preset(
            str(protocol) if protocol is not None else protocols.own(str(self.config["data"].name))
        ).changed(options)
        if "metrics" not in options and not self.config.data.num_classes:
            chosen = chosen.without_labels()
        (record,) = scoring.evaluate_run(self.folder, chosen, which=str(self.checkpoint), device=where)
        return {key: value["value"] for key, value in record["values"].items()}

    def resume(self, **options: Any) -> Self:
        """Continue training from the newest checkpoint, as ``ganlab resume`` does, and take the weights at its end.

        Args:
            options: Changed ones, as of `ganlab.train`: ``trainer={"max_steps": 5000}``.

        Raises:
            GanlabError: If there is nothing to continue, or a change does not fit.
        """
        from ganlab.config import code_words, command_line
        from ganlab.runs import choice, session

        with code_files.session(self.code):
            words = command_line.parse(code_words.allowed(command_line.words(options)))
            outcome = session.resume(self.folder, {o.get_key_element().lstrip("+"): o.value() for o in words})
        if outcome.unsaved is not None:
            raise GanlabError(outcome.unsaved)
        self.load(choice.NEWEST)
        return self

    @property
    def metrics(self) -> Any:
        """The lines of metrics.jsonl: a pandas DataFrame where pandas is installed, or a list of dictionaries.

        Raises:
            GanlabError: If the file cannot be read.
        """
        try:
            lines = [line for _, line in json_lines.read(self.folder / run_files.METRICS) if isinstance(line, dict)]
        except FileNotFoundError:
            lines = []
        except OSError as error:
            raise GanlabError(f"{self.folder / run_files.METRICS} cannot be read: {error.strerror}.") from error
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


def _table(rows: Sequence[Mapping[str, Any]]) -> Any:
    if importlib.util.find_spec("pandas") is None:
        return rows
    import pandas

    return pandas.DataFrame(rows)
