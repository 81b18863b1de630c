"""`python -m results.recognition --config classifier.yaml …`: cross-validation of the classifier, by groups."""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from torchmetrics.functional.classification import binary_auroc, multiclass_f1_score

import cli
from datamodules import PhotoDataModule
from datamodules.files.data_root import DataRoot, class_of
from datamodules.files.groups import find_groups
from metrics.estimate import percentile_interval, resampled_weights
from pipelines.outputs import LabelPrediction
from runtime.exit_codes import end_in_words

NUM_RESAMPLES = 2000


@dataclass(frozen=True)
class Judged:
    """All photos, each judged by the classifier of the fold that was not fitted on its group.

    Attributes:
        classes: names of the classes.
        groups: (photos,) names of the groups.
        labels, found: (photos,) right and likeliest classes.
        familiarity: (photos,) similarity to the training photos, less the threshold.
        others: (folds × photos of something else,) the same.
        mistakes: names of the photos whose likeliest class is wrong.
    """

    classes: list[str]
    groups: np.ndarray
    labels: np.ndarray
    found: np.ndarray
    familiarity: np.ndarray
    others: np.ndarray
    mistakes: list[str]


def main(args: Sequence[str] | None = None) -> None:
    """Fits the classifier once a fold, and prints its figures on the photos that it was not fitted on.

    All options but those below are options of `python cli.py fit`. Each photo is tested once. Files of a group are in
    one fold. The fold after the test's chooses the checkpoint. Intervals are of resampled groups.
    """
    parser = argparse.ArgumentParser("python -m results.recognition", description=__doc__.partition(": ")[2])
    parser.add_argument("--num_folds", type=int, default=5, help="folds, at least 3")
    parser.add_argument("--others", nargs="*", default=[], help="folders of photos of something else")
    options, fit_options = parser.parse_known_args(args)
    judged = cross_validate(fit_options, options.num_folds, options.others)
    console = Console()
    console.print(tabulate(judged))
    console.print(f"{len(judged.mistakes)} mistakes: {', '.join(judged.mistakes)}")


def cross_validate(fit_options: list[str], num_folds: int, others: list[str]) -> Judged:
    """Fits and tests once for each fold.

    Raises:
        ValueError: if there are fewer than 3 folds.
    """
    if num_folds < 3:
        raise ValueError(f"num_folds is {num_folds}, expected 3 or more: training, validation and test differ.")
    photos: dict[str, LabelPrediction] = {}
    strange: list[LabelPrediction] = []
    for fold in range(num_folds):
        with tempfile.TemporaryDirectory() as folder:
            tested, foreign, group_of = _fit_and_predict(fit_options, fold, num_folds, others, Path(folder))
        photos |= tested
        strange += foreign
    names = sorted(photos)
    classes = list(next(iter(photos.values())).probabilities)
    labels = [classes.index(class_of(name)) for name in names]
    found = [int(np.argmax(list(photos[name].probabilities.values()))) for name in names]
    margins = [[p.familiarity - (p.threshold or 0.0) for p in some] for some in (map(photos.get, names), strange)]
    mistakes = [name for name, label, guess in zip(names, labels, found, strict=True) if label != guess]
    groups = np.array([group_of[name] for name in names])
    return Judged(classes, groups, np.array(labels), np.array(found), *map(np.array, margins), mistakes)


def _fit_and_predict(
    fit_options: list[str], fold: int, num_folds: int, others: list[str], folder: Path
) -> tuple[dict[str, LabelPrediction], list[LabelPrediction], dict[str, str]]:
    """Predictions for the photos of a fold and for photos of something else, and the group of each photo."""
    options = ["--trainer.logger=false", f"--checkpoint.dirpath={folder}", f"--media.folder={folder}"]
    made = cli.main([*fit_options, *options], run=False)
    model, data, trainer = made.model, made.datamodule, made.trainer
    groups, folds = deal_out(data.root, num_folds)
    parts = {(fold + 1) % num_folds: "val", fold: "test"}
    split = {name: parts.get(number, "train") for name, number in folds.items()}
    data.root = replace(data.root, stored_split={"photos": split})
    trainer.fit(model, data)
    best = str(folder / "best.ckpt")
    tested = [p for batch in trainer.predict(model, data, ckpt_path=best, weights_only=True) for p in batch]
    foreign = []
    if others:
        others_data = PhotoDataModule(
            data.num_classes, batch_size=data.batch_size, image_size=data.image_size, num_workers=data.num_workers,
            inputs=[str(path) for place in others for path in sorted(Path(place).rglob("*")) if path.is_file()],
        )  # fmt: skip
        foreign = [p for batch in trainer.predict(model, others_data) for p in batch]
    return {f"{Path(p.path).parent.name}/{Path(p.path).name}": p for p in tested}, foreign, groups


def deal_out(root: DataRoot, num_folds: int) -> tuple[dict[str, str], dict[str, int]]:
    """The group and the fold of each photo: the groups of each class take turns."""
    names = list(root.files("photos"))
    known = find_groups(root, "photos", names)
    groups = {name: f"{class_of(name)}/{known.get(name, name)}" for name in names}
    folds: dict[str, int] = {}
    for class_name in root.list_classes("photos"):
        of_class = dict.fromkeys(groups[name] for name in names if class_of(name) == class_name)
        folds |= {group: number % num_folds for number, group in enumerate(of_class)}
    return groups, {name: folds[group] for name, group in groups.items()}


def tabulate(judged: Judged) -> Table:
    """Accuracy, F1 of each class, photos kept and, if there are some, photos of something else refused."""
    table = Table("figure", "value", "95 % interval", "photos", box=SIMPLE)
    rng = np.random.default_rng(0)
    weights = resampled_weights(judged.groups, NUM_RESAMPLES, rng)
    num_classes = len(judged.classes)

    def add(name: str, is_right: np.ndarray) -> None:
        low, high = percentile_interval(weights @ is_right / weights.sum(axis=1))
        table.add_row(name, f"{is_right.mean():.3f}", f"{low:.3f} to {high:.3f}", str(len(is_right)))

    larger = np.bincount(judged.labels).argmax()
    add(f"accuracy of always {judged.classes[larger]}", judged.labels == larger)
    add("accuracy", judged.labels == judged.found)
    labels, found = torch.from_numpy(judged.labels), torch.from_numpy(judged.found)
    resampled = []
    for counts in weights.astype(int):
        drawn = np.repeat(np.arange(len(labels)), counts)
        resampled.append(multiclass_f1_score(found[drawn], labels[drawn], num_classes, average=None).numpy())
    for number, name in enumerate(judged.classes):
        value = multiclass_f1_score(found, labels, num_classes, average=None)[number]
        low, high = percentile_interval(np.array(resampled)[:, number])
        table.add_row(f"F1 of {name}", f"{value:.3f}", f"{low:.3f} to {high:.3f}", str((judged.labels == number).sum()))
    if np.ptp(judged.familiarity):
        add("kept", judged.familiarity >= 0)
    if len(judged.others):
        table.add_row("refused of something else", f"{(judged.others < 0).mean():.3f}", "", str(len(judged.others)))
        scores = torch.from_numpy(np.concatenate([judged.familiarity, judged.others]))
        truth = torch.cat([torch.ones(len(judged.familiarity)), torch.zeros(len(judged.others))]).int()
        table.add_row("AUROC of the familiarity", f"{binary_auroc(scores.sigmoid(), truth):.3f}", "", "")
    return table


if __name__ == "__main__":
    end_in_words(main)
