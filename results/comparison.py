"""Spectrograms of real, reconstructed and generated sounds, in one picture for each class."""

from dataclasses import replace
from pathlib import Path

import soundfile
from matplotlib.figure import Figure

from datamodules.files.data_root import natural_key
from media.sound.geometry import Geometry
from media.sound.spectrogram import spectrogram_of_file

ROWS = {
    "real": "real",
    "inverted": "turned into a\nspectrogram\nand back",
    "reconstructed": "through the\ncodes and back",
    "real_top_codes": "real top codes,\ngenerated\nbottom codes",
    "generated": "all generated\n(other sounds)",
}
NUM_COLUMNS = 4


def list_evaluation(folder: Path) -> dict[str, dict[str, list[Path]]]:
    """Lists the files `<folder>/<row>/<class>/<number>.flac` of an evaluation, by class and row.

    Raises:
        FileNotFoundError: if there is none.
    """
    found: dict[str, dict[str, list[Path]]] = {}
    for row in ROWS:
        for class_folder in sorted(folder.glob(f"{row}/*/"), key=lambda path: natural_key(path.name)):
            if files := sorted(class_folder.glob("*.flac"), key=lambda path: natural_key(path.name)):
                found.setdefault(class_folder.name, {})[row] = files
    if not found:
        raise FileNotFoundError(
            f"There is no {folder}/<row>/<class>/*.flac. Make them with: python cli.py test --config video2audio.yaml"
        )
    return found


def choose(rows: dict[str, list[Path]], num_columns: int = NUM_COLUMNS) -> dict[str, list[Path]]:
    """Chooses a few evenly spaced sounds of each row, so that nobody picks the good ones.

    Rows made from real sounds show the same sounds below each other, from the numbers that all of these rows have.
    """
    paired = [row for row in rows if row != "generated"]
    common = set.intersection(*({path.name for path in rows[row]} for row in paired)) if paired else set()
    chosen = {}
    for row, files in rows.items():
        own = [path for path in files if path.name in common or row not in paired]
        num = min(num_columns, len(own))
        chosen[row] = [own[len(own) * index // num] for index in range(num)]
    return chosen


def draw_comparison(rows: dict[str, list[Path]]) -> Figure:
    """Draws spectrograms on the same scales, one row of the picture for each row of the evaluation."""
    num_columns = max(map(len, rows.values()))
    longest_s = max(soundfile.info(path).duration for files in rows.values() for path in files)
    figure = Figure(figsize=(8, 0.4 + 1.08 * len(rows)), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.025, h_pad=0.025, wspace=0, hspace=0)
    axes = figure.subplots(len(rows), num_columns, squeeze=False, sharex=True, sharey=True)
    for row_axes, (row, files) in zip(axes, rows.items(), strict=True):
        row_axes[0].set_ylabel(ROWS[row], rotation=0, ha="right", va="center", fontsize=9.5, labelpad=8)
        for axis in row_axes[len(files) :]:
            axis.axis("off")
        for axis, path in zip(row_axes, files, strict=False):
            info = soundfile.info(path)
            picture = spectrogram_of_file(path, replace(Geometry(), sample_rate_hz=info.samplerate))
            extent = (0, info.duration, 0, info.samplerate / 2000)
            axis.imshow(picture, "magma", origin="lower", aspect="auto", vmin=-1, vmax=1, extent=extent)
            axis.set_facecolor("black")
            axis.set_xlim(0, longest_s)
            axis.set_yticks([0, info.samplerate / 4000])
            axis.yaxis.tick_right()
            is_last = (axis is row_axes[len(files) - 1], row_axes is axes[-1])
            axis.tick_params(labelsize=8.5, length=2.5, right=is_last[0], labelright=is_last[0], bottom=is_last[1])
    for axis in axes[-1]:
        axis.set_xlabel("seconds", fontsize=9)
    axes[0, -1].set_title("kHz", loc="right", fontsize=9)
    return figure
