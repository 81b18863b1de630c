import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from metrics import YAMNet
from metrics.listeners.yamnet import PATCH_SAMPLES, cut_into_patches


class FakeInterpreter:
    """A network whose embedding is the patch's first sample in all places, and whose scores are its last."""

    input_shape, scores_shape, embedding_shape = (1, PATCH_SAMPLES), (1, 521), (1, 1024)

    def __init__(self, path, **options):
        self.tensors = {0: np.zeros(self.input_shape, np.float32)}

    def allocate_tensors(self):
        pass

    def get_input_details(self):
        return [{"index": 0, "shape": np.array(self.input_shape)}]

    def get_output_details(self):
        return [{"index": 2, "shape": np.array(self.scores_shape)}]

    def get_tensor_details(self):
        shapes = {5: (1024,), 7: self.embedding_shape, 8: (1, 3, 2, 1024)}
        return [{"index": index, "shape": np.array(shape)} for index, shape in shapes.items()]

    def set_tensor(self, index, value):
        assert value.shape == tuple(self.input_shape)
        assert value.dtype == np.float32
        self.tensors[index] = value

    def get_tensor(self, index):
        return self.tensors[index]

    def invoke(self):
        patch = self.tensors[0].ravel()
        self.tensors[2] = np.full(self.scores_shape, patch[-1])
        self.tensors[7] = np.full(self.embedding_shape, patch[0])


class RankOneInterpreter(FakeInterpreter):
    input_shape, embedding_shape = (PATCH_SAMPLES,), (1, 1, 1, 1024)


class OtherInterpreter(FakeInterpreter):
    scores_shape = (1, 10)


@pytest.fixture
def folder(tmp_path) -> Path:
    lines = [f'{index},/m/{index},"Tag {index}, a sound"' for index in range(521)]
    (tmp_path / "yamnet_class_map.csv").write_text("\n".join(["index,mid,display_name", *lines]))
    (tmp_path / "yamnet.tflite").write_bytes(b"")
    return tmp_path


def install(monkeypatch, interpreter) -> None:
    module = ModuleType("ai_edge_litert.interpreter")
    module.Interpreter = interpreter
    monkeypatch.setitem(sys.modules, "ai_edge_litert", ModuleType("ai_edge_litert"))
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", module)


def test_patches_overlap_by_half_and_the_last_ends_with_the_sound():
    sound = np.arange(40_000, dtype=np.float32)
    patches = cut_into_patches(sound)
    assert patches[:, 0].tolist() == [0, 7800, 15_600, 23_400, 24_400]
    assert patches.shape == (5, PATCH_SAMPLES)
    assert patches[-1, -1] == 39_999


@pytest.mark.parametrize(("num_samples", "num_patches"), [(15_600, 1), (15_601, 2), (23_400, 2), (23_401, 3)])
def test_no_patch_is_too_many(num_samples, num_patches):
    assert len(cut_into_patches(np.zeros(num_samples))) == num_patches


def test_shorter_sounds_are_filled_up():
    patches = cut_into_patches(np.ones(100))
    assert patches.shape == (1, PATCH_SAMPLES)
    assert patches.sum() == 100


@pytest.mark.parametrize("interpreter", [FakeInterpreter, RankOneInterpreter])
def test_embeddings_are_means_and_scores_are_the_largest_of_the_patches(monkeypatch, folder, interpreter):
    install(monkeypatch, interpreter)
    yamnet = YAMNet(folder / "yamnet.tflite")
    rising = torch.arange(23_400) / 23_400
    falling = rising.flip(0)
    embeddings, scores = yamnet.embed_and_tag(torch.stack([rising, falling]))
    assert embeddings.shape == (2, 1024)
    assert scores.shape == (2, 521)
    assert embeddings[:, 0] == pytest.approx([7800 / 23_400 / 2, (1 + 15_600 / 23_400) / 2], abs=1e-3)
    assert scores[:, 0] == pytest.approx([1, 7800 / 23_400], abs=1e-3)
    assert torch.equal(yamnet.embed(falling[None])[0], embeddings[1])
    assert torch.equal(yamnet.tag(falling[None])[0], scores[1])
    assert yamnet.class_names[3] == "Tag 3, a sound"


def test_another_model_is_refused(monkeypatch, folder):
    install(monkeypatch, OtherInterpreter)
    with pytest.raises(ValueError, match=r"yamnet.tflite should be a YAMNet .* gives \[ 1 10\]"):
        YAMNet(folder / "yamnet.tflite")


@pytest.mark.parametrize("name", ["yamnet.tflite", "yamnet_class_map.csv"])
def test_a_missing_file_is_named_with_its_source(monkeypatch, folder, name):
    install(monkeypatch, FakeInterpreter)
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name}. Get it from https://.*{name}"):
        YAMNet(folder / "yamnet.tflite")


def test_a_missing_package_is_named(monkeypatch, folder):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ImportError, match="pip install ai-edge-litert"):
        YAMNet(str(folder / "yamnet.tflite"))


def test_all_that_is_missing_is_named_at_once(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ImportError, match=r"(?s)pip install.*no .*/yamnet.tflite\. .*no .*/yamnet_class_map.csv\. "):
        YAMNet(tmp_path / "yamnet.tflite")


def test_a_class_map_of_another_model_is_refused(monkeypatch, folder):
    install(monkeypatch, FakeInterpreter)
    (folder / "yamnet_class_map.csv").write_text("index,mid,display_name\n0,/m/0,Speech\n")
    with pytest.raises(ValueError, match="521 lines with a column display_name, found 1 lines"):
        YAMNet(folder / "yamnet.tflite")


@pytest.mark.skipif("V2A_REAL_DATA" not in os.environ, reason="needs a folder with YAMNet, V2A_REAL_DATA")
def test_the_real_network_tells_silence_from_a_sound():
    pytest.importorskip("ai_edge_litert")
    yamnet = YAMNet(Path(os.environ["V2A_REAL_DATA"]) / "weights" / "yamnet.tflite")
    tone = 0.5 * torch.sin(2 * torch.pi * 440 * torch.arange(38_240) / yamnet.sample_rate_hz)
    embeddings, scores = yamnet.embed_and_tag(torch.stack([torch.zeros(38_240), tone]))
    assert yamnet.class_names[scores[0].argmax()] == "Silence"
    assert yamnet.class_names[scores[1].argmax()] != "Silence"
    assert not torch.allclose(embeddings[0], embeddings[1])
