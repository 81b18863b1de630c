"""`python -m results.pictures`: the pictures of README and docs, made from the project's own outputs.

    path            the path from a silent video to a video with sound; needs nothing
    spectrograms    real and generated sounds of each class, from an evaluation
    codes           how often each code is used on validation sounds, from a VQ-VAE's checkpoint
    curves          what the systems learned over time, from logs/<system>/version_*/metrics.csv

A picture whose input is missing is skipped, and the line says what was looked for. The same inputs give the same files.
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
from results.diagram import path_diagram
from runtime.exit_codes import end_in_words

DPI = 150  # of pictures 8 inches wide: 1.5 pixels for each of a page 800 wide
NUM_COLOURS = 256  # a picture with a palette is a third as large, and looks the same
Picture = tuple[str, Figure | str]


def path(options: Namespace) -> Iterator[Picture]:
    """The diagram."""
    yield "path.svg", path_diagram()


def spectrograms(options: Namespace) -> Iterator[Picture]:
    """One picture for each class of the evaluation."""
    for label, rows in list_evaluation(options.evaluation / "sounds").items():
        yield f"spectrograms_{label}.png", draw_comparison(choose(rows))


def codes(options: Namespace) -> Iterator[Picture]:
    """The use of both codebooks."""
    yield "codes.png", draw_codes(count_codes(options.vqvae, options.root, options.cache_dir))


def curves(options: Namespace) -> Iterator[Picture]:
    """The learning curves."""
    yield "curves.png", draw_curves(options.logs)


PICTURES: dict[str, Callable[[Namespace], Iterator[Picture]]] = {
    "path": path,
    "spectrograms": spectrograms,
    "codes": codes,
    "curves": curves,
}


def main(args: Sequence[str] | None = None) -> None:
    """Makes the pictures whose inputs are there.

    Args:
        args: the arguments after `python -m results.pictures`; None takes the command line's.
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
            print(f"{name}: skipped. {error} (python -m results.pictures -h: the options that say where things lie.)")


def write_picture(target: Path, picture: Figure | str) -> None:
    """Writes a figure as PNG, or a text as it is; the file appears complete or not at all."""
    with atomic_path(target) as temporary:
        if isinstance(picture, str):
            temporary.write_text(picture, encoding="utf-8", newline="\n")
        else:
            picture.set_dpi(DPI)
            canvas = FigureCanvasAgg(picture)
            canvas.draw()
            pixels = np.asarray(canvas.buffer_rgba())[..., :3]
            Image.fromarray(pixels).quantize(NUM_COLOURS).save(temporary, format="PNG", optimize=True)


if __name__ == "__main__":
    end_in_words(main)
