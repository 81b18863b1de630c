"""A tagger of 521 kinds of sound, which also gives embeddings."""

import csv
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

PATCH_SAMPLES = 15_600  # 0.975 s, the input of the network
HOP_SAMPLES = PATCH_SAMPLES // 2
NUM_TAGS = 521
CLASS_MAP = "yamnet_class_map.csv"
CLASS_MAP_SOURCE = "https://raw.githubusercontent.com/tensorflow/models/master/research/audioset/yamnet/" + CLASS_MAP
MODEL_SOURCE = "https://storage.googleapis.com/mediapipe-models/audio_classifier/yamnet/float32/1/yamnet.tflite"


class YAMNet:
    """Google's YAMNet, an `Embedding` and a tagger, run by LiteRT on one thread.

    Why: it was fitted on AudioSet, millions of sounds that the project's models have never heard, and is small enough
    for any CPU. It is optional: it needs `pip install ai-edge-litert` and two files. The error names all that is
    missing, with its source.

    A sound is cut into patches of 0.975 s that overlap by half. The last one ends with the sound. A shorter sound is
    padded with silence.

    Args:
        path: model, a .tflite file for patches of 15600 samples, in one folder with `yamnet_class_map.csv`.

    Attributes:
        class_names: names of the 521 scores.

    Raises:
        ImportError: if ai-edge-litert is not installed.
        FileNotFoundError: if one of the files is missing.
        ValueError: if the files belong to another model.

    Source: https://github.com/tensorflow/models/tree/master/research/audioset/yamnet (Apache-2.0).
    """

    name = "YAMNet"
    num_dimensions = 1024
    sample_rate_hz = 16_000

    def __init__(self, path: str | Path = "yamnet.tflite") -> None:
        path = Path(path)
        interpreter_class = _find_interpreter(path)
        self.class_names = read_class_names(path.with_name(CLASS_MAP))
        with warnings.catch_warnings():  # about the memory for keeping all tensors, here a few MB
            warnings.simplefilter("ignore", UserWarning)
            self._interpreter = interpreter_class(str(path), num_threads=1, experimental_preserve_all_tensors=True)
        self._interpreter.allocate_tensors()
        [taken, *_], [given, *_] = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        # The embedding is no output of the network, but its last tensor of shape [1, 1024] or [1, 1, 1, 1024].
        inside = [
            tensor
            for tensor in self._interpreter.get_tensor_details()
            if len(shape := tensor["shape"]) > 1 and math.prod(shape) == shape[-1] == self.num_dimensions
        ]
        if math.prod(taken["shape"]) != PATCH_SAMPLES or given["shape"].tolist() != [1, NUM_TAGS] or not inside:
            raise ValueError(
                f"{path} should be a YAMNet that takes {PATCH_SAMPLES} samples and gives {NUM_TAGS} scores from an "
                f"embedding of {self.num_dimensions}; it takes {taken['shape']} and gives {given['shape']}."
            )
        self._input, self._scores, self._embedding = (tensor["index"] for tensor in (taken, given, inside[-1]))
        self._input_shape = taken["shape"].tolist()

    def embed(self, waveforms: Tensor) -> Tensor:
        """(batch, 1024) float32 mean over the patches of waveforms (batch, samples) at 16 kHz in [-1, 1]."""
        return self.embed_and_tag(waveforms)[0]

    def tag(self, waveforms: Tensor) -> Tensor:
        """(batch, 521) float32 maximum over the patches' scores in [0, 1], for waveforms as in `embed`."""
        return self.embed_and_tag(waveforms)[1]

    def embed_and_tag(self, waveforms: Tensor) -> tuple[Tensor, Tensor]:
        """Computes both at once, in half the time."""
        embeddings, scores = zip(*map(self._run, waveforms), strict=True)
        return torch.stack(embeddings), torch.stack(scores)

    def _run(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """Mean embedding (1024,) and largest scores (521,) of a waveform (samples,)."""
        embeddings, scores = [], []
        for patch in cut_into_patches(waveform.detach().cpu().float().numpy()):
            self._interpreter.set_tensor(self._input, patch.reshape(self._input_shape))
            self._interpreter.invoke()
            embeddings.append(self._interpreter.get_tensor(self._embedding).ravel())
            scores.append(self._interpreter.get_tensor(self._scores).ravel())
        return torch.from_numpy(np.stack(embeddings)).mean(dim=0), torch.from_numpy(np.stack(scores)).amax(dim=0)


def cut_into_patches(waveform: np.ndarray) -> np.ndarray:
    """(patches, 15600) of a waveform (samples,), padded with silence; they overlap by half, the last one by more."""
    waveform = np.pad(waveform, (0, max(0, PATCH_SAMPLES - len(waveform))))
    last = len(waveform) - PATCH_SAMPLES
    return np.stack([waveform[start : start + PATCH_SAMPLES] for start in [*range(0, last, HOP_SAMPLES), last]])


def read_class_names(path: Path) -> list[str]:
    """Reads the names in a class map with the columns index, mid and display_name; ValueError if they are not 521."""
    with path.open(newline="", encoding="utf-8") as file:
        names = [row.get("display_name") or "" for row in csv.DictReader(file)]
    if len(names) != NUM_TAGS or "" in names:
        raise ValueError(f"{path} should hold {NUM_TAGS} lines with a column display_name, found {len(names)} lines.")
    return names


def _find_interpreter(path: Path) -> Callable[..., Any]:
    """LiteRT's interpreter, after a check that names everything that is missing at once."""
    files = {path: MODEL_SOURCE, path.with_name(CLASS_MAP): CLASS_MAP_SOURCE}
    missing = [f"There is no {file}. Get it from {source}" for file, source in files.items() if not file.is_file()]
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        missing.insert(0, "YAMNet is run by LiteRT, which is not installed (pip install ai-edge-litert).")
        raise ImportError(" ".join(missing)) from error
    if missing:
        raise FileNotFoundError(" ".join(missing))
    return Interpreter
