from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules import VideoDataModule
from media.video_files import UnreadableVideo
from tests.media.test_video_files import even_times_ms, write_video


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two videos and a photo, and what is neither."""
    for name in ("clip_10.mp4", "clip_2.mp4"):
        write_video(tmp_path / name, even_times_ms(25), encoder="mpeg4")
    Image.new("RGB", (60, 40), (255, 0, 0)).save(tmp_path / "red.png")
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def clips_of(inputs, **options):
    data = VideoDataModule(inputs, **options)
    data.setup("predict")
    return list(data.predict_dataloader())


def test_a_folder_gives_its_videos_and_photos(folder):
    clips = clips_of(str(folder))
    assert {clip.path.name for clip in clips} == {"clip_10.mp4", "clip_2.mp4", "red.png"}
    assert {clip.path.name: clip.duration_s for clip in clips} == {
        "clip_10.mp4": pytest.approx(1.0),
        "clip_2.mp4": pytest.approx(1.0),
        "red.png": None,
    }


def test_hidden_files_and_folders_are_no_videos(folder):
    """Apple's computers leave a hidden file beside each video on a foreign disk."""
    (folder / "._clip_2.mp4").write_bytes(b"\x00\x05\x16\x07")
    (folder / "frames.mp4").mkdir()
    assert len(clips_of(str(folder))) == 3


def test_a_list_keeps_its_order_and_may_mix_files_and_folders(folder):
    clips = clips_of([str(folder / "red.png"), str(folder / "clip_2.mp4")])
    assert [clip.path.name for clip in clips] == ["red.png", "clip_2.mp4"]
    (folder / "more").mkdir()
    write_video(folder / "more/other.mp4", even_times_ms(3), encoder="mpeg4")
    clips = clips_of([str(folder / "more"), str(folder / "red.png")])
    assert [clip.path.name for clip in clips] == ["other.mp4", "red.png"]


def test_inputs_whose_outputs_would_have_one_name_are_refused(folder):
    """Else the second would replace the first."""
    (folder / "more").mkdir()
    write_video(folder / "more/clip_2.mp4", even_times_ms(3), encoder="mpeg4")
    with pytest.raises(ValueError, match=r"clip_2.mp4.*more/clip_2.mp4"):
        clips_of([str(folder / "clip_2.mp4"), str(folder / "more/clip_2.mp4")])


@pytest.mark.parametrize("inputs", [None, []])
def test_no_input_says_how_to_give_one(inputs):
    with pytest.raises(ValueError, match=r"--data.inputs clip.mp4"):
        clips_of(inputs)


def test_a_missing_file_and_an_empty_folder_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no file .*missing.mp4"):
        clips_of(str(tmp_path / "missing.mp4"))
    with pytest.raises(FileNotFoundError, match=r"folder .* holds no video and no photo"):
        clips_of(str(tmp_path))


def test_a_file_that_is_no_video_is_named(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(UnreadableVideo, match=r"text.mp4"):
        clips_of(str(tmp_path / "text.mp4"))


def test_a_videos_frames_come_in_batches_with_their_times(tmp_path):
    pictures = [np.full((48, 64, 3), 10 * number, np.uint8) for number in range(25)]
    video = write_video(tmp_path / "clip.mp4", even_times_ms(25), encoder="mpeg4", pictures=pictures)
    (clip,) = clips_of(str(video), frames_per_second=5.0)
    batches = list(clip.image_batches(image_size=32, batch_size=2))
    assert [times_s for times_s, _ in batches] == [pytest.approx([0.0, 0.2]), pytest.approx([0.4, 0.6]), [0.8]]
    assert [tuple(images.shape) for _, images in batches] == [(2, 3, 32, 32), (2, 3, 32, 32), (1, 3, 32, 32)]
    seen = [round(255 * image.mean().item()) for _, images in batches for image in images]
    assert seen == pytest.approx([0, 50, 100, 150, 200], abs=4)


def test_a_photo_is_one_frame_at_time_zero(folder):
    (clip,) = clips_of(str(folder / "red.png"))
    ((times_s, images),) = clip.image_batches(image_size=32)
    assert times_s == [0.0]
    assert images.shape == (1, 3, 32, 32)
    assert images.amin() == 0
    assert images.amax() == 1
    assert images[0, 0].min() == 1
    assert images[0, 1:].max() == 0


def test_an_animation_is_a_video(tmp_path):
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:], duration=500)
    (clip,) = clips_of(str(tmp_path / "moving.gif"))
    assert clip.duration_s == pytest.approx(1.0, abs=0.1)
