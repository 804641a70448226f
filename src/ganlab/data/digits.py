"""The embedded data set: handwritten digits that need neither network nor scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ganlab.contracts.dataset import Dataset


class Digits(Dataset):
    """1,797 handwritten digits, 8x8 pixels, grey, ten classes of 174 to 183 images.

    Pixels are 0 to 16 in the source and 0 to 255 here (rounded). These are the images of scikit-learn's
    ``load_digits``, in its order.

    Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
    Repository, 1998, doi:10.24432/C50P49, CC BY 4.0 (its test part, as scikit-learn ships it).
    """

    license = "cc-by-4.0"
    class_names = tuple("0123456789")
    native_size = (8, 8)
    native_channels = 1
    held_out = 0.25

    def __init__(self) -> None:
        with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as file:
            sixteenths, labels = file["images"], file["labels"]
        self._images = np.round(sixteenths * (255 / 16)).astype(np.uint8)
        self.labels = labels.astype(np.int64)

    def __len__(self) -> int:
        return len(self._images)

    def image(self, index: int) -> np.ndarray:
        digit: np.ndarray = self._images[index]
        return digit

    def fingerprint(self) -> str:
        return "digits 1"

    def name(self, index: int) -> str:
        return f"digit {index}"
