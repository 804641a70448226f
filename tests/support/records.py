"""Lines of evaluation.jsonl, made up, for tests of what reads them."""

from typing import Any


def value(number: float | None, half: float | None = None, better: str = "lower", real: float | None = None) -> dict:
    low, high = (None, None) if half is None or number is None else (number - half, number + half)
    return {"value": number, "low": low, "high": high, "better": better, "real": real, "about": ""}


def record(iteration: int, truncation: float | None = None, protocol: str = "digits", **more: Any) -> dict:
    fid = 5 + 5000 / (iteration + 100) - (truncation or 0)
    return {
        "time": f"2026-11-21T09:{iteration // 100:02d}:00",
        "subject": {"kind": "run", "checkpoint": "last.ckpt", "iteration": iteration, "kimg": iteration * 0.064,
                    "truncation": truncation, "weights": "w"},
        "protocol": {"name": protocol, "features": {"component": "classifier", "held_out_accuracy": 0.987},
                     "metrics": {"fid": {}}, "samples": 1000, "reference": {"split": "test", "count": 300},
                     "truncation": truncation, "ema": True, "labels": "data", "seed": 0},
        "protocol_hash": protocol,
        "selected_on": False,
        "during_training": False,
        "values": {"fid": value(fid, 0.5), "is": value(9.0, 0.1, "higher", 9.5), "is_std": value(0.2, better="none")},
        "details": {},
        "figures": {},
        "pictures": {},
        "warnings": [],
        "images_per_second": 900.0,
        **more,
    }  # fmt: skip
