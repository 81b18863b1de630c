"""`python -m results.judge FOLDER --reference ROOT`: compares sounds of any origin with real ones.

The figures of a folder `<class>/*` are those that `python cli.py test --config video2audio.yaml` computes for the
sounds of the models of this project, beside the same rows of real sounds. So other systems can be put beside these.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jsonargparse import ArgumentParser
from rich.progress import track

from cli_arguments import short_error
from datamodules.evaluation import EvaluationDataModule, windows_in_turns
from datamodules.files.decoded_sounds import judged_sound_files, sound_files
from datamodules.sounds import Windows
from lightning_modules import load
from media import Geometry
from media.files import atomic_path
from metrics import Embedding, MelStatistics
from pipelines.evaluation import tables
from pipelines.evaluation.figures import Evaluation
from pipelines.evaluation.judges import Tagger
from pipelines.generator import Generator, Seed
from runtime.exit_codes import end_in_words


class Recorded(Generator):
    """Sounds that exist already. The last number of a seed is the number of the sound in its class.

    Args:
        geometry: length and sample rate of a window.
        sounds: windows of each class.
    """

    def __init__(self, geometry: Geometry, sounds: list[Windows]) -> None:
        self.geometry, self.sounds = geometry, sounds

    def sound(self, label: int, seeds: list[Seed], num_samples: int) -> Iterator[np.ndarray]:
        yield torch.stack([self.sounds[label][seed[-1]]["waveform"] for seed in seeds]).numpy()[:, :num_samples]

    def settings(self) -> dict[str, Any]:
        return {"num_windows": [len(windows) for windows in self.sounds]}


@torch.inference_mode()
def judge(
    folder: str,
    reference: str,
    embedding: Embedding | None = None,
    tagger: Tagger | None = None,
    words: dict[str, list[str]] | None = None,
    listener: Embedding | None = None,
    vqvae: str | None = None,
    part: Literal["test", "val"] = "test",
    num_sounds: int = 200,
    group_pattern: str | None = None,
    cache_dir: str = "cache",
    output_dir: str = "outputs/judged",
) -> dict[str, Any]:
    """Computes the rows of an evaluation for the sounds of a folder, and writes `results.md` and `results.json`.

    Sounds may have any format, sample rate, number of channels and length. They are cut into windows. Unreadable files
    are reported and skipped.

    Args:
        folder: folder with `<class>/*`, sounds of any origin.
        reference: data root with `sounds/<class>/*`, real sounds of the same classes.
        embedding: embedding in which sounds are compared; None for `MelStatistics`.
        tagger: classifier that measures whether the classes are heard; None to skip that.
        words: the tagger's names for each class; None for those that `ClassAgreement` knows.
        listener: second embedding, which learns the classes from the real training sounds; None to skip that.
        vqvae: checkpoint of a VQ-VAE whose windows and split of the real sounds are used, to put its sounds and those
            of the folder side by side; None for windows of 2.39 s and the split in the cache.
        part: held-out part of the real sounds.
        num_sounds: windows of each class that are judged at most.
        group_pattern: pattern of the groups of the real sounds, see `DataModule`.
        cache_dir: folder for decoded sounds.
        output_dir: folder of the results; created if it is missing.

    Raises:
        FileNotFoundError: if a file or folder is missing, or a class has no readable sound.
        ValueError: if the folder has other classes than the real sounds, or these are too few.
    """
    fitted = load(vqvae, config="vqvae.yaml") if vqvae is not None else None
    geometry = fitted.geometry if fitted else Geometry()
    data = EvaluationDataModule(reference, num_sounds, cache_dir=cache_dir, part=part, group_pattern=group_pattern)
    if fitted:
        data.root = replace(data.root, classes=fitted.facts["classes"], stored_split=fitted.facts["split"])
    classes = data.root.list_classes("sounds")
    judged = judged_sound_files(Path(folder), geometry.sample_rate_hz, cache_dir, classes)
    sounds = [
        windows_in_turns([file for file in judged if file.label == label], geometry.window_samples)
        for label in range(len(classes))
    ]
    evaluation = Evaluation(
        Recorded(geometry, sounds), 1, classes, {}, embedding or MelStatistics(), tagger, words, listener
    )
    real = sound_files(data.root, geometry.sample_rate_hz)
    jobs = data.plan(real, classes, geometry.window_samples, generated=sounds)
    for number in track(range(len(jobs)), description="Listening", transient=True):
        evaluation.add(jobs[number])
    results = evaluation.compute()
    results["remarks"] = [remark.replace("--model.", "--") for remark in results["remarks"]]
    facts = {"generated": str(folder), "reference": str(reference), "held-out sounds": f"the {part} part"}
    facts |= {name: results[name] or "none" for name in ("embedding", "tagger", "listener")}
    with atomic_path(Path(output_dir) / "results.json") as temporary:
        temporary.write_text(json.dumps(facts | results, indent=1, allow_nan=False))
    with atomic_path(Path(output_dir) / "results.md") as temporary:
        temporary.write_text(tables.markdown(results, facts, []), encoding="utf-8")
    tables.show(results, f"{folder}; more in {Path(output_dir) / 'results.md'}")
    return results


def main(args: Sequence[str] | None = None) -> None:
    """Judges the folder on the command line."""
    parser = ArgumentParser("python -m results.judge", description=__doc__)
    parser.add_argument("folder", help="folder with <class>/*, sounds of any origin")
    parser.add_function_arguments(judge, skip={"folder"})
    options = parser.parse_args(args)
    try:
        options = parser.instantiate_classes(options)
    except ValueError as error:
        raise ValueError(short_error(str(error))) from error
    judge(**options.as_dict())


if __name__ == "__main__":
    end_in_words(main)
