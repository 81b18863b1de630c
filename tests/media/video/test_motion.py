import numpy as np

from media.video.motion import CHANNELS, GRID, MotionMeter, mirror_motion, normalise_motion

SIZE = 96


def square(x: float, y: float) -> np.ndarray:
    """A textured square on a dark picture, its left upper corner at (x, y)."""
    frame = np.full((SIZE, SIZE, 3), 40, np.uint8)
    rows, columns = np.mgrid[:24, :24]
    frame[round(y) : round(y) + 24, round(x) : round(x) + 24] = (
        140 + 60 * np.sin(rows / 3) * np.cos(columns / 3)
    ).astype(np.uint8)[..., np.newaxis]
    return frame


def measure(frames: list[np.ndarray]) -> dict[str, np.ndarray]:
    meter = MotionMeter()
    taken = []
    for frame in frames:
        meter.add(frame)
        taken.append(meter.take())
    motion = np.concatenate([*taken, meter.take(is_end=True)])
    assert motion.shape == (len(frames), len(CHANNELS), GRID, GRID)
    return dict(zip(CHANNELS, motion.transpose(1, 0, 2, 3), strict=True))


def test_a_still_picture_does_not_move():
    motion = measure([square(30, 30)] * 10)
    assert all(not values.any() for values in motion.values())


def test_directions_are_those_of_the_thing_that_moves():
    right = measure([square(20 + number, 36) for number in range(10)])
    down = measure([square(36, 20 + number) for number in range(10)])
    moving = right["change"][5] > 2
    assert moving.any()
    assert right["to the right"][5][moving].mean() > 0.3
    assert abs(right["down"][5][moving].mean()) < 0.15
    assert down["down"][5][down["change"][5] > 2].mean() > 0.3


def test_a_lower_rate_of_frames_is_interpolated():
    frames = [square(20 + 2 * (number // 2), 36) for number in range(20)]  # each is shown twice
    motion = measure(frames)
    assert (motion["change"][2:-2].max(axis=(1, 2)) > 1).all()
    assert 0.5 < motion["to the right"][8][motion["change"][8] > 2].mean() < 1.5  # pixels a frame, not a picture


def test_a_pause_is_still_however_it_ends():
    motion = measure([square(30, 30)] * 20 + [square(34, 30)] * 20)
    changes = motion["change"].max(axis=(1, 2))
    assert changes[19:21].max() > 1
    assert not changes[2:17].any()
    assert not changes[23:].any()


def test_the_unit_is_the_films_own():
    motion = np.abs(np.random.default_rng(0).normal(size=(50, len(CHANNELS), GRID, GRID)))
    strong = motion * np.array([100, 100, 1, 1, 1])[:, np.newaxis, np.newaxis]
    scaled = normalise_motion(strong)
    assert 0.5 < scaled[:, 0].max() < 2
    assert np.abs(scaled[:, 2:4]).max() <= 2
    assert normalise_motion(motion[:0]).shape == motion[:0].shape


def test_a_mirror_swaps_left_and_right():
    frames = [square(20 + number, 36) for number in range(10)]
    motion, mirrored = measure(frames), measure([frame[:, ::-1] for frame in frames])
    both = np.stack([np.stack(list(one.values()), axis=1) for one in (motion, mirrored)])
    np.testing.assert_allclose(mirror_motion(both[0]), both[1], atol=0.05)
