import json

import pytest

from media import Geometry


def test_the_reference_window():
    geometry = Geometry()
    assert (geometry.num_bins, geometry.num_frames) == (240, 240)
    assert geometry.window_samples == 38_240
    assert geometry.window_s == pytest.approx(2.39)
    assert geometry.top_shape == (30, 30)
    assert geometry.bottom_shape == (60, 60)


def test_rows_are_frequencies_and_columns_are_times():
    geometry = Geometry(n_fft=62, num_frames=80)
    assert geometry.top_shape == (4, 10)
    assert geometry.bottom_shape == (8, 20)


@pytest.mark.parametrize("geometry", [Geometry(), Geometry(n_fft=62, hop_samples=24, num_frames=64, top_stride=16)])
def test_top_columns_are_the_fewest_that_last_long_enough(geometry):
    step = geometry.hop_samples * geometry.top_stride
    for num_samples in {0, 1, geometry.window_samples, *range(1, 3 * step, 7), *range(step - 30, step + 30)}:
        num_columns = geometry.top_columns_of(num_samples)
        assert geometry.samples_of(num_columns * geometry.top_stride) >= num_samples
        assert num_columns == 1 or geometry.samples_of((num_columns - 1) * geometry.top_stride) < num_samples


def test_a_window_is_one_window_of_columns():
    geometry = Geometry()
    assert geometry.top_columns_of(geometry.window_samples) == geometry.top_shape[1]
    assert geometry.top_columns_of(geometry.window_samples + 1) == geometry.top_shape[1] + 1


def test_it_travels_as_plain_data():
    geometry = Geometry(sample_rate_hz=8000, dynamic_range_db=60.0)
    assert Geometry(**json.loads(json.dumps(geometry.as_dict()))) == geometry


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_fft": 512}, r"num_bins \(n_fft // 2 \+ 1\) is 257, expected a multiple of top_stride = 8"),
        ({"num_frames": 250}, "num_frames is 250, expected a multiple of top_stride = 8"),
        ({"bottom_stride": 3}, "top_stride is 8, expected a multiple of bottom_stride = 3"),
    ],
    ids=str,
)
def test_sizes_that_do_not_divide_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Geometry(**options)
