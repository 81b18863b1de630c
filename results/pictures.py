"""`python -m results.pictures`: draws the pictures of README and docs from the outputs of fits and evaluations.

    spectrograms    real and generated sounds of each class, from an evaluation
    codes           how often each code is used on validation sounds, from a VQ-VAE's checkpoint
    curves          figures of the systems over time, from logs/<system>/version_*/metrics.csv

A picture is skipped if its input is missing, and the line names that input. The same inputs give the same files.
"""

import argparse
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from media.files import atomic_path
from results.codes import count_codes, draw_codes
from results.comparison import choose, draw_comparison, list_evaluation
from results.curves import draw_curves
from runtime.exit_codes import end_in_words

DPI = 150  # 1200 pixels for a picture of 8 inches, enough for a page of 800
NUM_COLOURS = 256  # with a palette a picture is a third as large and looks the same


def draw_spectrograms(options: Namespace) -> dict[str, Figure]:
    """Draws one picture for each class of the evaluation."""
    classes = list_evaluation(options.evaluation / "sounds").items()
    return {f"spectrograms_{label}.png": draw_comparison(choose(rows)) for label, rows in classes}


PICTURES: dict[str, Callable[[Namespace], dict[str, Figure]]] = {
    "spectrograms": draw_spectrograms,
    "codes": lambda given: {"codes.png": draw_codes(count_codes(given.vqvae, given.root, given.cache_dir))},
    "curves": lambda given: {"curves.png": draw_curves(given.logs)},
}


def main(args: Sequence[str] | None = None) -> None:
    """Draws the pictures whose inputs exist."""
    parser = argparse.ArgumentParser("python -m results.pictures", description="Makes the pictures of README and docs.")
    parser.add_argument("--only", nargs="+", choices=PICTURES, default=list(PICTURES), metavar="NAME")
    parser.add_argument("--evaluation", type=Path, default=Path("outputs/evaluation"), help="folder of an evaluation")
    parser.add_argument(
        "--vqvae", type=Path, default=Path("checkpoints/vqvae/best.ckpt"), help="VQ-VAE to count codes of"
    )
    parser.add_argument("--root", default="data", help="data of the VQ-VAE")
    parser.add_argument("--cache_dir", default="cache", help="folder for decoded sounds")
    parser.add_argument("--logs", type=Path, default=Path("logs"), help="folder of <system>/version_*/metrics.csv")
    parser.add_argument("--output", type=Path, default=Path("outputs/pictures"), help="folder for the pictures")
    options = parser.parse_args(args)
    for name in options.only:
        try:
            for file, picture in PICTURES[name](options).items():
                write_picture(options.output / file, picture)
                print(f"{name}: {options.output / file}")
        except FileNotFoundError as error:
            print(f"{name}: skipped. {error} (python -m results.pictures -h: the options that name the inputs.)")


def write_picture(target: Path, picture: Figure) -> None:
    """Writes a figure as PNG with a palette."""
    picture.set_dpi(DPI)
    canvas = FigureCanvasAgg(picture)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    with atomic_path(target) as temporary:
        Image.fromarray(pixels).quantize(NUM_COLOURS).save(temporary, format="PNG", optimize=True)


if __name__ == "__main__":
    end_in_words(main)
