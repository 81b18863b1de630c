import re

from benchmarks import film_folds
from benchmarks.film_folds import deal_folds


def test_a_film_is_in_one_fold_and_a_group_together():
    names = [f"a/{kind}_{number}.mp4" for kind in ("stick", "dog") for number in range(8)]
    groups = {"a/stick_0.mp4": "one", "a/stick_5.mp4": "one"}
    folds = deal_folds(names, groups, num_folds=4, seed=1)
    assert sorted(name for fold in folds for name in fold) == sorted(names)
    (together,) = [fold for fold in folds if "a/stick_0.mp4" in fold]
    assert "a/stick_5.mp4" in together
    assert all(sum("dog" in name for name in fold) in (1, 2, 3) for fold in folds)
    assert deal_folds(names, groups, 4, seed=2) != folds


def test_each_film_is_measured_by_a_network_that_was_fitted_without_it(film_root, tmp_path, capsys, monkeypatch):
    fitted, found = [], []
    fit, find_onsets = film_folds.fit, film_folds.find_onsets

    def watch_fit(films, *args):
        fitted.append([film.motion for film in films])
        return fit(films, *args)

    def watch_search(network, motion):
        found.append((len(fitted) - 1, motion))
        return find_onsets(network, motion)

    monkeypatch.setattr(film_folds, "fit", watch_fit)
    monkeypatch.setattr(film_folds, "find_onsets", watch_search)
    options = ["--root", str(film_root), "--cache_dir", str(tmp_path), "--num_folds", "2", "--num_train", "2"]
    film_folds.main([*options, "--steps", "2", "--kinds", "00"])
    printed = capsys.readouterr().out
    assert len(re.findall(r"^ *\d\d\.mp4 ", printed, re.MULTILINE)) == 6
    assert re.search(r"^ *6 all ", printed, re.MULTILINE)
    assert [len(films) for films in fitted] == [2, 2]
    assert len(found) == 6
    assert not any(motion is other for number, motion in found for other in fitted[number])
