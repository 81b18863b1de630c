from itertools import pairwise
from types import SimpleNamespace

import pytest

from demo.video import make_video
from media.video.scenes import SceneSettings
from results.recognition_in_videos import TRUTH, measure, read_truth, tabulate
from tests.helpers.colours import SYSTEMS, ColourSense


def test_the_truth_has_spans_without_gaps():
    for name, spans in read_truth(TRUTH).items():
        assert spans[0][0] == 0, name
        for (_, end_s, truth), (start_s, _, _) in pairwise(spans):
            assert end_s == start_s, name
            assert set(truth.split("+")) <= {"cat", "dog"} or truth in ("none", "unsure"), name


def test_seconds_are_counted_by_their_truth(tmp_path):
    make_video(tmp_path / "clip.mp4", frames_per_second=8, size=(96, 64))
    network = ColourSense()
    classifier = SimpleNamespace(network=network, classes=["cat", "dog"], facts=SYSTEMS["classifier"].facts)
    spans = [(0.0, 1.0, "cat+dog"), (1.0, 2.0, "none"), (2.0, 2.5, "unsure")]
    everything = measure(tmp_path / "clip.mp4", spans, classifier, SceneSettings(threshold=0.0))
    assert everything == pytest.approx({"seen": 1.0, "right": 1.0, "unseen": 1.0, "silent": 0.0})
    nothing = measure(tmp_path / "clip.mp4", spans, classifier, SceneSettings(min_familiarity=1.0))
    assert nothing == pytest.approx({"seen": 1.0, "right": 0.0, "unseen": 1.0, "silent": 1.0})


def test_the_table_names_videos_with_errors_and_sums_all():
    right = {"seen": 2.0, "right": 2.0, "unseen": 1.0, "silent": 1.0}
    wrong = {"seen": 0.0, "right": 0.0, "unseen": 3.0, "silent": 0.0}
    columns = [list(column.cells) for column in tabulate({"good.mp4": right, "bad.mp4": wrong}).columns]
    assert columns[0] == ["bad.mp4", "all"]
    assert columns[2] == ["", "100.0%"]
    assert columns[4] == ["0.0%", "25.0%"]
