"""The verdict on real pictures that were saved again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_runner import synthsift
from PIL import Image


@pytest.mark.usefixtures("no_pictures")
def test_real_pictures_saved_as_jpeg_are_not_recommended(tmp_path: Path) -> None:
    """Labels are chance, so a copy of a judged row in the training part would look like a large gain."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(["cat", "dog"], 30))
    for number, label in enumerate(labels):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3)).astype(np.uint8))
        picture = coarse.resize((40, 40), Image.Resampling.BICUBIC)
        for folder, options in (("real", {}), ("made", {"quality": 90})):
            place = tmp_path / folder / label / f"{number}.{'jpg' if options else 'png'}"
            place.parent.mkdir(parents=True, exist_ok=True)
            picture.save(place, **options)
    words = ["--real", str(tmp_path / "real"), "--synthetic", f"gen={tmp_path / 'made'}", "--seeds", "1"]
    ended = synthsift("run", *words, "--policies", "Everything", "--out", str(tmp_path / "out"))
    assert "Do not use this synthetic data: every row of it copies a real row" in ended.out, ended.err
    assert "SS140" in ended.out + ended.err
