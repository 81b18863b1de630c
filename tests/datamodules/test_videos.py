from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from datamodules import VideoDataModule, videos
from media.video.video_files import probe_video
from tests.media.video.test_video_files import even_times_ms, write_video


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


def test_an_input_that_is_given_twice_is_one_input(folder, monkeypatch):
    monkeypatch.chdir(folder)
    clips = clips_of(["clip_2.mp4", str(folder), "../" + folder.name + "/red.png"])
    assert [clip.path.name for clip in clips] == ["clip_2.mp4", "clip_10.mp4", "red.png"]


def test_a_text_file_lists_inputs(folder, tmp_path):
    lines = tmp_path / "list.TXT"
    lines.write_text(f"\ufeff{folder / 'red.png'}\r\n\n  {folder / 'clip_2.mp4'}\n", encoding="utf-8")
    assert [clip.path.name for clip in clips_of(str(lines))] == ["red.png", "clip_2.mp4"]
    lines.write_text("\n")
    with pytest.raises(ValueError, match=r"list.TXT is empty, expected one path on each line"):
        clips_of(str(lines))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8", "utf-8-sig"])
def test_a_text_file_may_be_written_by_powershell(folder, encoding):
    lines = folder / "list.txt"
    bom = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    (folder / "red.png").rename(folder / "röt.png")
    lines.write_bytes(f"{bom}{folder / 'röt.png'}\r\n{folder / 'clip_2.mp4'}\r\n".encode(encoding))
    assert [clip.path.name for clip in clips_of(str(lines))] == ["röt.png", "clip_2.mp4"]


def test_a_list_that_is_no_text_is_refused_in_words(folder):
    (folder / "list.txt").write_bytes("clip.mp4".encode("utf-16-le"))
    with pytest.raises(ValueError, match=r"list\.txt is no text, expected one path on each line, in UTF-8 or UTF-16"):
        clips_of(str(folder / "list.txt"))


def test_stills_and_videos_are_told_by_content(folder):
    (folder / "red.png").rename(folder / "red.mp4")
    (folder / "clip_2.mp4").rename(folder / "clip_2.jpg")
    Image.new("RGB", (60, 40)).save(folder / "new.avif")
    durations = {clip.path.name: clip.duration_s for clip in clips_of(str(folder))}
    assert durations == {
        "red.mp4": None,
        "new.avif": None,
        "clip_2.jpg": pytest.approx(1.0),
        "clip_10.mp4": pytest.approx(1.0),
    }


def test_what_cannot_be_written_is_known_when_the_input_is_opened(tmp_path):
    video = write_video(tmp_path / "v.avi", even_times_ms(40), bf="3")
    (clip,) = clips_of(str(video))
    assert "does not say when its B-frames are shown" in clip.reason


@pytest.mark.parametrize("error", [AttributeError("no codec"), KeyError("chan"), RuntimeError("odd"), OSError("lost")])
def test_an_error_of_any_kind_stays_with_its_input(folder, monkeypatch, error):
    def fail_once(path):
        if path.name == "clip_2.mp4":
            raise error
        return probe_video(path)

    monkeypatch.setattr(videos, "probe_video", fail_once)
    reasons = [getattr(clip, "reason", None) for clip in clips_of(str(folder))]
    assert reasons[0] == ("lost" if isinstance(error, OSError) else f"{type(error).__name__}: {error}")
    assert reasons[1:] == [None, None]


def test_a_full_memory_ends_the_call(folder, monkeypatch):
    monkeypatch.setattr(videos, "probe_video", Mock(side_effect=MemoryError))
    with pytest.raises(MemoryError):
        clips_of(str(folder))


def test_what_is_no_picture_is_left_out_of_a_folder_and_counted_but_tried_where_it_is_named(folder, capsys):
    clips_of(str(folder))
    assert f"1 of the 4 files in {folder} are left out, expected video or photo" in capsys.readouterr().out
    (folder / "clip_2.mp4").rename(folder / ".hidden.dat")
    clip, _ = clips_of([str(folder / ".hidden.dat"), str(folder / "red.png")])
    assert clip.duration_s == pytest.approx(1.0)
    assert not capsys.readouterr().out


def test_a_bad_one_among_others_says_why_when_its_turn_comes(folder):
    (folder / "text.mp4").write_text("no video")
    (folder / "empty").mkdir()
    names = ["red.png", "text.mp4", "missing.mp4", "empty", "clip_2.mp4"]
    photo, text, missing, empty, video = clips_of([str(folder / name) for name in names])
    assert (photo.duration_s, video.duration_s) == (None, pytest.approx(1.0))
    assert "text.mp4 is not a readable video" in text.reason
    assert (missing.name, missing.reason) == ("missing", f"There is no file {folder / 'missing.mp4'}.")
    assert empty.reason == f"There is no input in the folder {folder / 'empty'}."


def test_no_file_is_opened_before_its_turn(folder, monkeypatch):
    opened = []
    monkeypatch.setattr(videos, "probe_video", lambda path: opened.append(path.name) or probe_video(path))
    data = VideoDataModule(str(folder))
    data.setup("predict")
    loader = iter(data.predict_dataloader())
    assert not opened
    next(loader)
    assert opened == ["clip_2.mp4"]


def test_a_file_that_is_asked_about_first_may_be_left_unopened(folder):
    (folder / "text.mp4").write_text("no video")
    data = VideoDataModule(str(folder))
    data.setup("predict")
    data.input_set.ask_first = lambda path, name: f"{name} is done" if path.suffix == ".mp4" else None
    reasons = {clip.name: getattr(clip, "reason", None) for clip in data.predict_dataloader()}
    assert reasons == {"clip_2": "clip_2 is done", "clip_10": "clip_10 is done", "red": None, "text": "text is done"}


@pytest.mark.parametrize("inputs", [None, []])
def test_no_input_says_how_to_give_one(inputs):
    with pytest.raises(ValueError, match=r"--data.inputs PATH \(a video or photo, a folder"):
        clips_of(inputs)


def test_a_missing_file_and_an_empty_folder_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no file .*missing.mp4"):
        clips_of(str(tmp_path / "missing.mp4"))
    with pytest.raises(FileNotFoundError, match=r"There is no video or photo in the folder"):
        clips_of(str(tmp_path))


def test_frames_are_shrunk_where_they_are_too_large(folder, tmp_path):
    photo, video = clips_of([str(folder / "red.png"), str(folder / "clip_2.mp4")], frames_per_second=5.0)
    ((time_s, whole),) = photo.frames()
    assert (time_s, whole.shape, whole.dtype) == (0.0, (40, 60, 3), np.uint8)
    ((_, small),) = photo.frames(max_side=30)
    assert small.shape == (20, 30, 3)
    assert small.reshape(-1, 3).tolist() == [[255, 0, 0]] * 600
    frames = list(video.frames(max_side=32))
    assert [time_s for time_s, _ in frames] == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8])
    assert {frame.shape for _, frame in frames} == {(24, 32, 3)}


def test_a_videos_frames_come_with_their_times(tmp_path):
    pictures = [np.full((48, 64, 3), 10 * number, np.uint8) for number in range(25)]
    video = write_video(tmp_path / "clip.mp4", even_times_ms(25), encoder="mpeg4", pictures=pictures)
    (clip,) = clips_of(str(video), frames_per_second=5.0)
    times_s, frames = zip(*clip.frames(max_side=32), strict=True)
    assert times_s == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8])
    assert {frame.shape for frame in frames} == {(24, 32, 3)}
    seen = [round(frame.mean()) for frame in frames]
    assert seen == pytest.approx([0, 50, 100, 150, 200], abs=4)


def test_a_photo_is_one_frame_at_time_zero(folder):
    (clip,) = clips_of(str(folder / "red.png"))
    ((time_s, frame),) = clip.frames(max_side=32)
    assert time_s == 0.0
    assert frame[..., 0].min() == 255
    assert frame[..., 1:].max() == 0


def test_an_animation_is_a_video(tmp_path):
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:], duration=500)
    (clip,) = clips_of(str(tmp_path / "moving.gif"))
    assert clip.duration_s == pytest.approx(1.0, abs=0.1)
