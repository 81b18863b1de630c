import av
import numpy as np
import pytest

from demo.video import make_video


def test_the_video_is_silent_h264_with_two_scenes_and_an_empty_room_between(tmp_path):
    path = tmp_path / "folder" / "video.mp4"
    make_video(path, frames_per_second=10, size=(96, 64))
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["video"]
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height, stream.average_rate) == (96, 64, 10)
        frames = np.array([frame.to_ndarray(format="gray") for frame in container.decode(video=0)], dtype=float)
    assert len(frames) == 65
    cat, room, dog = frames[:30], frames[30:35], frames[35:]
    for scene in (cat, dog):
        assert np.abs(scene - room.mean(axis=0)).mean() > 5
        assert np.abs(np.diff(scene, axis=0)).mean() > 0.5
    assert np.abs(np.diff(room[1:], axis=0)).mean() < 0.5
    assert np.abs(cat.mean(axis=0) - dog.mean(axis=0)).mean() > 5


def test_an_existing_video_is_left_alone(tmp_path):
    path = tmp_path / "video.mp4"
    path.write_bytes(b"mine")
    make_video(path)
    assert path.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [path]


def test_an_odd_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\(97, 64\), expected an even width"):
        make_video(tmp_path / "video.mp4", size=(97, 64))
