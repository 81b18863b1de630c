import wave
from html.parser import HTMLParser
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from media.soundtrack.mixing import Mixing
from media.video.activity import Activity
from media.video.photo_files import read_photo
from media.video.video_files import probe_video
from pipelines.perception import Perception
from pipelines.video_output import TemporaryFolder, VariantSound, VideoPrediction, in_words, timed
from tests.helpers.containers import set_edit_list
from tests.helpers.tiny import GEOMETRY
from tests.media.video.test_video_files import even_times_ms, write_video

RATE, DURATION_S = GEOMETRY.sample_rate_hz, 2.0


def film(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for shade in range(round(DURATION_S * 10)):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 10 * shade, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def prediction(path: Path, num_variants: int = 1, is_photo: bool = False, **mixing) -> VideoPrediction:
    """Of a cat that calls at 0.5 s, in a tone that is higher in each variant."""
    folder = TemporaryFolder()
    variants = []
    for number in range(num_variants):
        times_s = np.arange(round(DURATION_S * RATE)) / RATE
        stem = folder.path / f"{number}.wav"
        tone = 0.1 * np.sin(2 * np.pi * 500 * (number + 1) * times_s)
        soundfile.write(stem, tone.astype(np.float32), RATE, subtype="FLOAT")
        variants.append(VariantSound(7 + number, stem, [] if is_photo else [(0.5, 0.8)]))
    sampled_s = np.arange(8) / 4
    activity = Activity(sampled_s, np.eye(8)[2], np.array([0.5]), np.ones(1), np.array([]))
    frames = [(time_s, np.full((32, 32, 3), 90, np.uint8)) for time_s in sampled_s]
    return VideoPrediction(
        path=path,
        name="clip",
        duration_s=DURATION_S,
        is_photo=is_photo,
        variants=variants,
        scenes=[(0.0, DURATION_S, "cat")],
        perception=Perception(
            sampled_s, np.tile([0.9, 0.1], (8, 1)), np.full(8, 0.7), None if is_photo else activity, frames
        ),
        classes=["cat", "dog"],
        geometry=GEOMETRY,
        mixing=Mixing(**mixing),
        settings={
            "classes": ["cat", "dog"],
            "threshold": 0.6,
            "min_familiarity": 0.5,
            "mixing": {"stem": "none"},
            "checkpoints": {},
        },
        checkpoints={"top": ("top.ckpt", "0123")},
        seconds={},
        folder=folder,
    )


def dominant_hz(path: Path) -> float:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        rate = container.streams.audio[0].rate
    sound = np.concatenate(frames, axis=1)[0]
    return np.fft.rfft(sound).__abs__().argmax() * rate / len(sound)


def test_each_variant_is_a_video_that_tells_its_seed(tmp_path):
    made = prediction(film(tmp_path / "clip.mp4"), num_variants=2)
    row = made.save(tmp_path / "out")
    assert row["output"] == str(tmp_path / "out" / "clip.mp4")
    assert row["scenes"] == "0.0-2.0 s cat"
    for number, name in enumerate(("clip.mp4", "clip_v2.mp4")):
        with av.open(str(tmp_path / "out" / name)) as container:
            assert container.metadata["comment"] == f"seed={7 + number}"
        assert dominant_hz(tmp_path / "out" / name) == pytest.approx(500 * (number + 1), abs=5)
    made_files = {path.name for path in (tmp_path / "out").iterdir()}
    pictures = {"clip_spectrogram.png", "clip_v2_spectrogram.png"}
    assert made_files == {"clip.mp4", "clip_v2.mp4", "clip.html"} | pictures
    assert {"mix and write", "draw"} <= made.seconds.keys()


def test_the_report_names_what_it_shows(tmp_path):
    row = prediction(film(tmp_path / "clip.mp4"), num_variants=2).save(tmp_path / "out")
    page = Path(row["output"]).with_suffix(".html").read_text(encoding="utf-8")
    HTMLParser().feed(page)
    assert page.count("<audio") == 2
    for text in ("clip.mp4", "clip_v2.mp4", "cat", "top.ckpt", "0123", "LUFS", "mix and write"):
        assert text in page, text


@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_the_stem_is_kept_where_it_is_wished(tmp_path, kind):
    prediction(film(tmp_path / "clip.mp4"), stem=kind).save(tmp_path / "out")
    sound, rate = soundfile.read(tmp_path / "out" / f"clip_stem.{kind}")
    assert rate == RATE
    assert len(sound) == DURATION_S * RATE
    assert np.abs(sound).max() == pytest.approx(0.1, abs=1e-3)


def test_a_photo_becomes_a_sound_file(tmp_path):
    row = prediction(tmp_path / "clip.png", is_photo=True).save(tmp_path / "out")
    assert row["output"] == str(tmp_path / "out" / "clip.wav")
    with wave.open(row["output"]) as sound:
        assert (sound.getframerate(), sound.getnframes()) == (48_000, 96_000)
    assert read_photo(tmp_path / "out" / "clip_spectrogram.png").ndim == 3


def test_stages_add_up():
    seconds: dict[str, float] = {}
    for _ in range(2):
        with timed(seconds, "draw"):
            pass
    assert list(seconds) == ["draw"]
    assert seconds["draw"] > 0


def test_settings_in_words():
    settings = {"classes": ["cat", "dog"], "photo_s": None, "mixing": {"stem": "none"}, "checkpoints": {"top": "1"}}
    assert in_words(settings) == {"classes": "cat, dog", "photo_s": "none", "mixing.stem": "none"}


def test_the_stems_vanish_with_what_was_made_of_them(tmp_path):
    made = prediction(film(tmp_path / "clip.mp4"))
    folder = made.folder.path
    assert folder.is_dir()
    del made
    assert not folder.exists()


def test_an_animation_becomes_a_video(tmp_path):
    frames = [Image.new("RGB", (32, 24), (shade, 0, 0)) for shade in range(0, 200, 10)]
    frames[0].save(tmp_path / "clip.gif", save_all=True, append_images=frames[1:], duration=100)
    row = prediction(tmp_path / "clip.gif").save(tmp_path / "out")
    assert row["output"] == str(tmp_path / "out" / "clip.mp4")
    assert probe_video(Path(row["output"])).duration_s == pytest.approx(DURATION_S)
    assert dominant_hz(Path(row["output"])) == pytest.approx(500, abs=5)


def test_what_is_not_copied_as_it_is_says_so(tmp_path):
    video = set_edit_list(write_video(tmp_path / "clip.mp4", even_times_ms(60), bf="2"), [(0.2, 1.0), (0, 1.0)])
    row = prediction(video).save(tmp_path / "out")
    assert row["remark"] == "encoded again, as it shows parts of its picture only, by an edit list"
    assert probe_video(Path(row["output"])).duration_s == pytest.approx(probe_video(video).duration_s)
    images = [Image.new("RGB", (8, 8), (60 * number, 0, 0)) for number in range(4)]
    images[0].save(tmp_path / "clip.webp", save_all=True, append_images=images[1:], duration=250)
    row = prediction(tmp_path / "clip.webp", is_photo=True).save(tmp_path / "out")
    assert row["remark"] == "the first of its 4 pictures is used"


def test_the_own_sound_of_a_picture_that_is_encoded_again_is_kept(tmp_path):
    own = 0.3 * np.sin(2 * np.pi * 2_000 * np.arange(48_000 * 3) / 48_000).astype(np.float32)
    video = write_video(tmp_path / "clip.mp4", even_times_ms(60), bf="2", sound=own)
    set_edit_list(video, [(0.2, 1.0), (0, 1.0)])
    row = prediction(video, original="keep").save(tmp_path / "out")
    with av.open(row["output"]) as container:
        sound = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)[0]
    spectrum = np.abs(np.fft.rfft(sound))
    hz = np.fft.rfftfreq(len(sound), 1 / 48_000)
    assert spectrum[np.abs(hz - 2_000) < 5].max() > 10 * np.median(spectrum)
