from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules import FilmDataModule, films
from datamodules.files.loading import SampleKey
from datamodules.films import Film, Films
from demo.contacts import sample_contacts
from media.video.motion import CHANNELS, GRID
from metrics.event_timing import match_events


def module(root, cache_dir, **options) -> FilmDataModule:
    one = FilmDataModule(root=str(root), cache_dir=cache_dir, batch_size=2, num_frames=40, **options)
    one.prepare_data()
    one.setup("fit")
    return one


@pytest.fixture(scope="module")
def loaded(film_root, tmp_path_factory):
    return module(film_root, str(tmp_path_factory.mktemp("cache")))


def noise_films(num_frames=60, onsets_s=(0.4, 1.2), **options) -> Films:
    motion = np.random.default_rng(0).normal(size=(num_frames, len(CHANNELS), GRID, GRID)).astype(np.float32)
    return Films([Film(Path("a.mp4"), 0, motion, np.array(onsets_s))], **options)


def test_films_whose_sound_has_no_onsets_are_left_out_and_reported(film_root, cache_dir, capsys):
    one = module(film_root, cache_dir)
    assert one.classes == ["mouth", "stick"]
    assert {len(part) for part in (one.train_set, one.val_set, one.test_set)} == {2}
    assert "1 films are left out: their sound has fewer than 2 onsets" in capsys.readouterr().out
    assert not any("silent" in name for name in one.split["videos"])


def test_the_onsets_are_those_of_the_films_events(loaded):
    for item in loaded.val_set:
        film = sample_contacts(int(item["path"][-6:-4]))
        found_s = item["onsets_s"][item["onsets_s"].isfinite()].double().numpy()
        events_s = film.events_s[film.events_s < 4]
        assert len(match_events(events_s, found_s, 0.05)) >= 0.7 * len(events_s)
        assert item["num_frames"] == 100


def test_a_target_is_high_at_onsets_and_ends_with_the_film():
    longer = np.zeros((80, len(CHANNELS), GRID, GRID), np.float32)
    both = Films([*noise_films().films, Film(Path("b.mp4"), 0, longer, np.ones(1))])
    item = both[0]
    assert item["target"].shape == (80,)
    assert item["target"][[10, 30]].tolist() == pytest.approx([1, 1])
    assert item["target"][20] < 0.01
    assert (item["target"][60:] == -1).all()
    assert not item["motion"][60:].any()
    assert both[1]["onsets_s"].tolist() == [1, np.inf]


def test_an_excerpt_is_a_function_of_seed_epoch_and_index():
    long = noise_films(num_frames=200, onsets_s=(1.0, 3.0, 6.0))
    excerpts = Films(long.films, num_frames=40, seed=3)
    first, again, later = excerpts[SampleKey(0, 0)], excerpts[SampleKey(0, 0)], excerpts[SampleKey(1, 0)]
    assert torch.equal(first["motion"], again["motion"])
    assert not torch.equal(first["motion"], later["motion"])
    assert first["motion"].shape[0] == first["target"].shape[0] == 40


def test_a_film_is_measured_once(film_root, cache_dir, monkeypatch):
    module(film_root, cache_dir)
    monkeypatch.setattr(films, "measure_motion", lambda path: pytest.fail("it is read again"))
    module(film_root, cache_dir)


def test_batches_have_equal_shapes(loaded):
    batch = next(iter(loaded.val_dataloader()))
    assert batch["motion"].shape == (2, 100, len(CHANNELS), GRID, GRID)
