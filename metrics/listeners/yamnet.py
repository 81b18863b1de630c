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

PATCH_SAMPLES = 15_600  # 0.975 s, what the network takes
HOP_SAMPLES = PATCH_SAMPLES // 2
NUM_TAGS = 521
MODEL, CLASS_MAP = "yamnet.tflite", "yamnet_class_map.csv"
SOURCES = {
    MODEL: "https://storage.googleapis.com/mediapipe-models/audio_classifier/yamnet/float32/1/yamnet.tflite",
    CLASS_MAP: "https://raw.githubusercontent.com/tensorflow/models/master/research/audioset/yamnet/" + CLASS_MAP,
}


class YAMNet:
    """Google's YAMNet, an `Embedding` and a tagger, run by LiteRT on one thread.

    Why: it was fitted on AudioSet, millions of sounds that the project's models have never heard, and is small enough
    for any CPU. It is optional: it needs `pip install ai-edge-litert` and two files; what is missing is named, with
    where to get it.

    A sound is cut into patches of 0.975 s, each half over the next; the last one ends with the sound. A shorter sound
    is filled up with silence.

    Args:
        path: the model, a .tflite file for patches of 15600 samples. `yamnet_class_map.csv` lies beside it.

    Attributes:
        class_names: of the 521 scores.

    Raises:
        ImportError: without ai-edge-litert.
        FileNotFoundError: where one of the files is missing.
        ValueError: where the files are of another model.

    Source: https://github.com/tensorflow/models/tree/master/research/audioset/yamnet (Apache-2.0).
    """

    name = "YAMNet"
    num_dimensions = 1024
    sample_rate_hz = 16_000

    def __init__(self, path: str | Path = "yamnet.tflite") -> None:
        path = Path(path)
        interpreter = _check_installed(path)
        self.class_names = read_class_names(path.with_name(CLASS_MAP))
        self._interpreter = _loaded(interpreter, path)
        [taken, *_], [given, *_] = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        # The embedding is no output of the network, but the one tensor inside it with the shape of a pooled layer.
        inside = [tensor for tensor in self._interpreter.get_tensor_details() if _is_embedding(tensor["shape"])]
        if math.prod(taken["shape"]) != PATCH_SAMPLES or given["shape"].tolist() != [1, NUM_TAGS] or not inside:
            raise ValueError(
                f"{path} should be a YAMNet that takes {PATCH_SAMPLES} samples and gives {NUM_TAGS} scores from an "
                f"embedding of {self.num_dimensions}; it takes {taken['shape']} and gives {given['shape']}."
            )
        self._input, self._scores, self._embedding = (tensor["index"] for tensor in (taken, given, inside[-1]))
        self._input_shape = taken["shape"].tolist()

    def embed(self, waveforms: Tensor) -> Tensor:
        """(batch, 1024) float32 mean over the patches of waveforms (batch, samples) at 16 kHz in [-1, 1]."""
        return torch.stack([self._run(waveform)[0].mean(dim=0) for waveform in waveforms])

    def tag(self, waveforms: Tensor) -> Tensor:
        """(batch, 521) float32 largest score in [0, 1] of any patch of waveforms (batch, samples) at 16 kHz."""
        return torch.stack([self._run(waveform)[1].amax(dim=0) for waveform in waveforms])

    def embed_and_tag(self, waveforms: Tensor) -> tuple[Tensor, Tensor]:
        """Both at once, in half the time."""
        pairs = [self._run(waveform) for waveform in waveforms]
        embeddings = torch.stack([embedding.mean(dim=0) for embedding, _ in pairs])
        return embeddings, torch.stack([scores.amax(dim=0) for _, scores in pairs])

    def _run(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """(patches, 1024) embeddings and (patches, 521) scores of a waveform (samples,)."""
        embeddings, scores = [], []
        for patch in cut_into_patches(waveform.detach().cpu().float().numpy()):
            self._interpreter.set_tensor(self._input, patch.reshape(self._input_shape))
            self._interpreter.invoke()
            embeddings.append(self._interpreter.get_tensor(self._embedding).ravel())
            scores.append(self._interpreter.get_tensor(self._scores).ravel())
        return torch.from_numpy(np.stack(embeddings)), torch.from_numpy(np.stack(scores))


def cut_into_patches(waveform: np.ndarray) -> np.ndarray:
    """(patches, 15600) of a waveform (samples,), half overlapping; the last ends with it, and silence fills up."""
    if len(waveform) < PATCH_SAMPLES:
        waveform = np.pad(waveform, (0, PATCH_SAMPLES - len(waveform)))
    last = len(waveform) - PATCH_SAMPLES
    return np.stack([waveform[start : start + PATCH_SAMPLES] for start in [*range(0, last, HOP_SAMPLES), last]])


def read_class_names(path: Path) -> list[str]:
    """The names in a class map with the columns index, mid and display_name.

    Raises:
        ValueError: where there are not 521.
    """
    with path.open(newline="", encoding="utf-8") as file:
        names = [row.get("display_name") or "" for row in csv.DictReader(file)]
    if len(names) != NUM_TAGS or "" in names:
        raise ValueError(f"{path} should hold {NUM_TAGS} lines with a column display_name, found {len(names)} lines.")
    return names


def _is_embedding(shape: np.ndarray) -> bool:
    """Whether a tensor is one vector of the embedding's length, as [1, 1024] or [1, 1, 1, 1024]."""
    return len(shape) > 1 and math.prod(shape) == shape[-1] == YAMNet.num_dimensions


def _check_installed(path: Path) -> Callable[..., Any]:
    """LiteRT's interpreter; all that is missing is named at once."""
    files = {path: SOURCES[MODEL], path.with_name(CLASS_MAP): SOURCES[CLASS_MAP]}
    missing = [f"There is no {file}. Get it from {source}" for file, source in files.items() if not file.is_file()]
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        missing.insert(0, "YAMNet is run by LiteRT, which is not installed (pip install ai-edge-litert).")
        raise ImportError(" ".join(missing)) from error
    if missing:
        raise FileNotFoundError(" ".join(missing))
    return Interpreter


def _loaded(interpreter_class: Callable[..., Any], path: Path) -> Any:
    with warnings.catch_warnings():  # of the memory that keeping all tensors takes, here a few MB
        warnings.simplefilter("ignore", UserWarning)
        interpreter = interpreter_class(str(path), num_threads=1, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    return interpreter
