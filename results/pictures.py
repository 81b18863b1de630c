"""`python -m results.pictures`: the pictures of README and docs, made from the project's own outputs.

    spectrograms    real and generated sounds of each class, from an evaluation
    codes           how often each code is used on validation sounds, from a VQ-VAE's checkpoint
    curves          figures of the systems over time, from logs/<system>/version_*/metrics.csv

A picture is skipped if its input is missing, and the line names that input. The same inputs give the same files.
"""

import argparse
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
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

DPI = 150  # of pictures 8 inches wide: 1.5 pixels for each of a page 800 wide
NUM_COLOURS = 256  # a picture with a palette is a third as large, and looks the same
Picture = tuple[str, Figure]


def draw_spectrograms(options: Namespace) -> Iterator[Picture]:
    """Draws one picture for each class of the evaluation."""
    for label, rows in list_evaluation(options.evaluation / "sounds").items():
        yield f"spectrograms_{label}.png", draw_comparison(choose(rows))


def draw_code_use(options: Namespace) -> Iterator[Picture]:
    """Draws the use of both codebooks."""
    yield "codes.png", draw_codes(count_codes(options.vqvae, options.root, options.cache_dir))


def draw_learning(options: Namespace) -> Iterator[Picture]:
    """Draws the learning curves."""
    yield "curves.png", draw_curves(options.logs)


PICTURES: dict[str, Callable[[Namespace], Iterator[Picture]]] = {
    "spectrograms": draw_spectrograms,
    "codes": draw_code_use,
    "curves": draw_learning,
}


def main(args: Sequence[str] | None = None) -> None:
    """Draws the pictures whose inputs exist.

    Args:
        args: arguments after `python -m results.pictures`; None takes those of the command line.
    """
    parser = argparse.ArgumentParser("python -m results.pictures", description="Makes the pictures of README and docs.")
    parser.add_argument("--only", nargs="+", choices=PICTURES, default=list(PICTURES), metavar="NAME")
    parser.add_argument("--evaluation", type=Path, default=Path("outputs/evaluation"), help="folder of an evaluation")
    parser.add_argument("--vqvae", type=Path, default=Path("checkpoints/vqvae/best.ckpt"), help="its checkpoint")
    parser.add_argument("--root", default="data", help="the data that the VQ-VAE was fitted on")
    parser.add_argument("--cache_dir", default="cache", help="folder for decoded sounds")
    parser.add_argument("--logs", type=Path, default=Path("logs"), help="folder of <system>/version_*/metrics.csv")
    parser.add_argument("--output", type=Path, default=Path("outputs/pictures"), help="folder for the pictures")
    options = parser.parse_args(args)
    for name in options.only:
        try:
            for file, picture in PICTURES[name](options):
                write_picture(options.output / file, picture)
                print(f"{name}: {options.output / file}")
        except FileNotFoundError as error:
            print(f"{name}: skipped. {error} (python -m results.pictures -h: the options that name the inputs.)")


def write_picture(target: Path, picture: Figure) -> None:
    """Writes a figure as PNG; the file appears complete or not at all."""
    picture.set_dpi(DPI)
    canvas = FigureCanvasAgg(picture)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    with atomic_path(target) as temporary:
        Image.fromarray(pixels).quantize(NUM_COLOURS).save(temporary, format="PNG", optimize=True)


if __name__ == "__main__":
    end_in_words(main)
