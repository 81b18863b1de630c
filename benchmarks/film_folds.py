"""`python -m benchmarks.film_folds`: measures the network of moments on films that were left out of its fit."""

import logging
import sys
import warnings
from argparse import ArgumentParser
from collections.abc import Sequence

import numpy as np
import torch
from lightning.pytorch import Trainer, seed_everything
from rich.console import Console
from rich.progress import track

from benchmarks.film_timing import FilmTiming, film_table, measure_films, summary_table
from datamodules.files.data_root import DataRoot
from datamodules.files.groups import find_groups
from datamodules.files.loading import training_loader
from datamodules.films import Film, Films, load_films
from lightning_modules import Moments
from media.sound.onsets import SoundOnsetSettings
from media.video.moments import MomentSettings, find_moments
from media.video.motion import RATE_HZ
from metrics.onset_lift import ANY_FILM, THRESHOLDS, OnsetLift
from networks import MomentNetwork
from runtime.exit_codes import end_in_words
from runtime.tell import quieten_lightning

WIDTH = 170  # of tables that are not printed to a terminal
NUM_FRAMES, BATCH_SIZE = 100, 8


def main(args: Sequence[str] | None = None) -> None:
    """Fits a network for each fold without the films of this fold, and prints how well it finds their onsets.

    Films of a group, see `<root>/groups.csv`, are in one fold. The threshold of each fold is the best for its training
    films. The events are librosa's onsets, as in `python -m benchmarks.timing --videos`.
    """
    parser = ArgumentParser("python -m benchmarks.film_folds", description=__doc__.partition(": ")[2])
    parser.add_argument("--root", required=True, help="folder with videos/<class>/*")
    parser.add_argument("--cache_dir", default="cache", help="folder for the motion of the films")
    parser.add_argument("--weights", help="checkpoint that each fit starts from, such as one of drawn films")
    parser.add_argument("--steps", type=int, default=400, help="steps of each fit; 0 to measure the weights alone")
    parser.add_argument("--num_folds", type=int, default=8, help="fits, each without other films")
    parser.add_argument("--num_train", type=int, help="films of each fit, to see how more films help; all by default")
    parser.add_argument("--seed", type=int, default=1, help="seed of the folds and the fits")
    parser.add_argument("--kinds", nargs="+", default=[], help="starts of file names, for a table row each")
    options = parser.parse_args(args)
    settings = SoundOnsetSettings()
    root = DataRoot(options.root, options.cache_dir)
    films = load_films(root, settings)
    folds = deal_folds(list(films), find_groups(root, "videos", films), options.num_folds, options.seed)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    quieten_lightning()
    warnings.filterwarnings("ignore", "You defined a `validation_step` but have no `val_dataloader`")
    measured: list[FilmTiming] = []
    sure_of: dict[str, bool] = {}
    for number, fold in enumerate(track(folds, description="folds", transient=True)):
        rng = np.random.default_rng((options.seed, number))
        others = rng.permutation([name for name in films if name not in fold])[: options.num_train]
        network = fit([films[name] for name in others], options.weights, options.steps, options.seed + 100 * number)
        onsets_s = {}
        for name in fold:
            path = films[name].path
            onsets_s[path], sure_of[path.name] = find_onsets(network, films[name].motion)
        measured += measure_films(onsets_s, onsets_s.__getitem__, settings)[0]
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    console.print(film_table(sorted(measured, key=lambda film: film.name)))
    console.print(summary_table(measured, options.kinds))
    for is_sure in (True, False):
        some = [film.lifts for film in measured if sure_of[film.name] == is_sure]
        lifts = " ".join(f"{lift:.3f}" for lift in np.mean(some, axis=0)) if some else "none"
        console.print(
            f"The network is {'' if is_sure else 'not '}sure of {len(some)} films, with a mean lift of {lifts}."
        )


def deal_folds(names: list[str], groups: dict[str, str], num_folds: int, seed: int) -> list[list[str]]:
    """Deals groups of films into folds, so that each fold gets as many films of each kind of name as the others."""
    rng = np.random.default_rng(seed)
    members: dict[str, list[str]] = {}
    for name in names:
        members.setdefault(groups.get(name, name), []).append(name)
    kinds = {group: some[0].rpartition("/")[2].partition("_")[0] for group, some in members.items()}
    dealt = sorted(members, key=lambda group: (kinds[group], rng.random()))
    return [[name for group in dealt[first::num_folds] for name in members[group]] for first in range(num_folds)]


def fit(films: list[Film], weights: str | None, steps: int, seed: int) -> MomentNetwork:
    """Fits a network, and chooses the threshold with the best lift on the same films."""
    seed_everything(seed, verbose=False)
    system = Moments(MomentNetwork(), weights)
    options = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(max_steps=steps, logger=False, accelerator="cpu", gradient_clip_val=1.0, **options)
    trainer.fit(system, training_loader(Films(films, NUM_FRAMES, seed), BATCH_SIZE, 0, seed, trainer))
    network, timing = system.network.eval(), OnsetLift()
    for film in films:
        timing.update(torch.from_numpy(network.find_probabilities(film.motion)), torch.from_numpy(film.onsets_s))
    network.threshold.fill_(THRESHOLDS[int(timing.compute()["lift"].argmax())])
    return network


def find_onsets(network: MomentNetwork, motion: np.ndarray) -> tuple[np.ndarray, bool]:
    """Finds the onsets of a film's picture in seconds, and whether the network is sure of the film."""
    probabilities = network.find_probabilities(motion)
    onsets_s = find_moments(probabilities, RATE_HZ, float(network.threshold), ANY_FILM) / RATE_HZ
    return onsets_s, bool(probabilities.max() >= MomentSettings().sure)


if __name__ == "__main__":
    end_in_words(main)
