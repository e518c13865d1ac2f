from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import intsim
from tests.cli.conftest import IMAGES, Cli, Files
from tests.cli.small_model import small_images


def test_counts_of_every_tensor(cli: Cli, files: Files, tmp_path: Path) -> None:
    done = cli("histogram", files.model, "--input", files.codes, "--output", "h.npz", "--json")
    made = np.load(tmp_path / "h.npz", allow_pickle=False)
    assert set(made) == {"counts", "names", "low", "bits", "images"}
    assert (made["counts"].dtype, made["counts"].shape, made["images"]) == (np.int64, (14, 256), IMAGES)
    taps = intsim.load(files.model).run(small_images(IMAGES), taps=["codes"]).taps
    assert made["names"].tolist() == list(taps) == done.json["names"]
    assert set(made["low"]) == {-128} and set(made["bits"]) == {8}
    for counts, tap in zip(made["counts"], taps.values(), strict=True):
        assert tap.codes is not None
        assert np.array_equal(counts, np.bincount(tap.codes.ravel().astype(int) + 128, minlength=256))


@pytest.mark.parametrize("bins", [16, 100, 300])
def test_bins_by_image(cli: Cli, files: Files, tmp_path: Path, bins: int) -> None:
    arguments = ("--input", files.codes, "--bins", bins, "--per-image", "--output", "h.npz", "--json")
    assert cli("histogram", files.model, *arguments).json["shape"] == [IMAGES, 14, bins]
    made = np.load(tmp_path / "h.npz", allow_pickle=False)
    taps = intsim.load(files.model).run(small_images(IMAGES), taps=["codes"]).taps
    used = min(bins, 256)
    for layer, tap in enumerate(taps.values()):
        assert tap.codes is not None
        for image in range(IMAGES):
            index = (tap.codes[image].ravel().astype(int) + 128) * used // 256
            expected = np.bincount(index, minlength=bins)
            assert np.array_equal(made["counts"][image, layer], expected)


def test_the_table_draws_them(cli: Cli, files: Files) -> None:
    done = cli("histogram", files.model, "--input", files.codes, "--output", "h.npz")
    image = next(line for line in done.out.splitlines() if line.startswith("image_q"))
    assert "█" in image and f"{IMAGES * 2 * 8 * 8:,}" in image
    assert "wrote h.npz: counts int64[14, 256]" in done.out
