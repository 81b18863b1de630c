"""How evenly a VQ-VAE uses its codes on validation sounds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from rich.progress import track
from torch.utils.data import DataLoader

from datamodules.files.data_root import DataRoot
from datamodules.files.decoded_sounds import sound_files
from datamodules.sounds import Windows
from lightning_modules import VQVAE, load
from metrics.code_usage import unigram_entropy

BATCH_SIZE = 16
TITLES = {"top": "top codes (coarse)", "bottom": "bottom codes (fine)"}


@torch.no_grad()
def count_codes(checkpoint: Path, root: str, cache_dir: str) -> dict[str, np.ndarray]:
    """Counts the codes (num_codes,) of each level in the validation sounds of the checkpoint's own split.

    Raises:
        FileNotFoundError: if the checkpoint or the data are missing.
        ValueError: if the checkpoint belongs to another system.
    """
    vqvae = load(checkpoint, "vqvae.yaml")
    if not isinstance(vqvae, VQVAE):
        raise ValueError(f"{checkpoint} is a {type(vqvae).__name__}, expected a VQVAE.")
    files = sound_files(DataRoot(root, cache_dir, stored_split=vqvae.facts["split"]), vqvae.geometry.sample_rate_hz)
    windows = Windows([file for file in files if file.part == "val"], vqvae.geometry.window_samples)
    counts = {level: np.zeros(vqvae.network.num_codes, int) for level in TITLES}
    for batch in track(DataLoader(windows, BATCH_SIZE), description="Counting codes", transient=True):
        for level, codes in zip(TITLES, vqvae.codec.encode(batch["waveform"]), strict=True):
            counts[level] += np.bincount(codes.flatten().numpy(), minlength=len(counts[level]))
    return counts


def draw_codes(counts: dict[str, Sequence[int]]) -> Figure:
    """Draws the share of each code in descending order, with a line at the share of equally frequent codes."""
    figure = Figure(figsize=(8, 2.9), layout="constrained")
    axes = figure.subplots(1, len(counts), squeeze=False, sharey=True)[0]
    for axis, (level, found) in zip(axes, counts.items(), strict=True):
        found = np.sort(found)[::-1]
        shares, even = 100 * found / max(found.sum(), 1), 100 / len(found)
        colours = colormaps["magma"](np.linspace(0.75, 0.2, len(found)))
        axis.bar(np.arange(len(found)) + 0.5, shares, width=1, color=colours)
        axis.axhline(even, color="#2b2540", linewidth=1.2, linestyle=(0, (4, 3)))
        style = {"textcoords": "offset points", "ha": "right", "fontsize": 9, "color": "#2b2540"}
        axis.annotate("if all were used alike", (len(found), even), (0, 4), **style)
        perplexity = float(unigram_entropy(torch.from_numpy(found.copy())).exp())
        axis.set_title(TITLES[level], fontsize=10.5, loc="left")
        words = f"{np.count_nonzero(found)} of {len(found)} in use\nperplexity {perplexity:.1f}"
        style = {"ha": "right", "va": "top", "fontsize": 10, "linespacing": 1.5}
        axis.text(0.98, 0.95, words, transform=axis.transAxes, **style)
        axis.set_xlim(0, len(found))
        axis.set_xlabel("codes, the most frequent first", fontsize=9)
        axis.tick_params(labelsize=9)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("% of all places", fontsize=9)
    axes[0].set_ylim(bottom=0)
    return figure
