import json

import numpy as np
import pytest
import soundfile

from pipelines.evaluation.sound_store import SoundStore

RATE = 8000


class Maker:
    """Counts how often it makes sounds."""

    def __init__(self, value: float = 0.5) -> None:
        self.value, self.num_calls = value, 0

    def __call__(self) -> np.ndarray:
        self.num_calls += 1
        return np.full((2, 100), self.value, np.float32)


def ask(folder, make: Maker, made_with: dict | None = None, numbers=(0, 1)) -> np.ndarray:
    """As a new session does."""
    return SoundStore(folder, RATE).sounds("generated/cat", numbers, made_with or {"seed": 1}, make)


def test_sounds_are_made_once_and_read_from_then_on(tmp_path):
    first, again = Maker(), Maker(0.1)
    waveforms = ask(tmp_path, first)
    np.testing.assert_allclose(waveforms, 0.5, atol=1e-4)
    assert np.array_equal(ask(tmp_path, again), waveforms)
    assert (first.num_calls, again.num_calls) == (1, 0)
    names = {path.name for path in (tmp_path / "generated/cat").iterdir()}
    assert names == {"0000.flac", "0001.flac", "made_with.json"}
    assert soundfile.info(tmp_path / "generated/cat/0001.flac").samplerate == RATE


def test_more_sounds_are_added_to_those_that_are_there(tmp_path):
    ask(tmp_path, Maker())
    more = Maker(0.25)
    ask(tmp_path, more, numbers=(2, 3))
    assert more.num_calls == 1
    assert len(ask(tmp_path, Maker(), numbers=(0, 1, 2, 3))) == 4


@pytest.mark.parametrize("damage", ["gone", "empty", "garbage"])
def test_a_sound_that_cannot_be_read_is_made_again(tmp_path, damage):
    ask(tmp_path, Maker())
    path = tmp_path / "generated/cat/0001.flac"
    path.unlink() if damage == "gone" else path.write_bytes(b"" if damage == "empty" else b"no sound at all" * 99)
    again = Maker(0.25)
    np.testing.assert_allclose(ask(tmp_path, again), 0.25, atol=1e-4)
    assert again.num_calls == 1


def test_sounds_that_were_made_in_another_way_are_made_again_and_that_is_said(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("pipelines.evaluation.sound_store.tell", said.append)
    ask(tmp_path, Maker(), {"checkpoints": {"top": "0123"}})
    ask(tmp_path, Maker(), {"checkpoints": {"top": "0123"}}, numbers=(2, 3))
    assert said == []
    np.testing.assert_allclose(ask(tmp_path, Maker(0.25), {"checkpoints": {"top": "4567"}}), 0.25, atol=1e-4)
    assert len(said) == 1
    assert "generated/cat are made again: checkpoints.top: 0123 → 4567" in said[0].replace("\\", "/")
    assert json.loads((tmp_path / "generated/cat/made_with.json").read_text()) == {"checkpoints": {"top": "4567"}}
    assert not (tmp_path / "generated/cat/0002.flac").exists()
    (tmp_path / "generated/cat/made_with.json").unlink()
    ask(tmp_path, Maker(), {"checkpoints": {"top": "4567"}})
    assert "does not say how they were made" in said[1]
