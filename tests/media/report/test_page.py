import io
import re
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import av
import numpy as np
import pytest
import soundfile

from media.report import Report, ReportVariant, write_report
from media.report.pictures import frame_uri
from media.sound.sound_files import UnreadableSound
from media.video.activity import Activity

VOID = {"br", "img", "input", "link", "meta"}


class Page(HTMLParser):
    """A page as its tags with their attributes and its visible text; a tag that is never closed is an error."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text, self.open = "", []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text += data

    def find(self, name: str, kind: str | None = None) -> list[dict[str, str]]:
        """Attributes of all tags of a name, and of a class where one is given."""
        return [a for tag, a in self.tags if tag == name and (kind is None or kind in (a.get("class") or "").split())]


def content(uri: str) -> io.BytesIO:
    return io.BytesIO(b64decode(uri.split(";base64,")[1]))


@pytest.fixture
def report(tmp_path):
    variants = []
    for number, pitch_hz in enumerate((440, 880)):
        sound = tmp_path / f"sound_{number}.wav"
        soundfile.write(sound, 0.5 * np.sin(2 * np.pi * pitch_hz * np.arange(64_000) / 16_000), 16_000)
        variants.append(
            ReportVariant(7 + number, Path(f"clip_{number}.mp4"), sound, np.zeros((240, 401)), 8000.0, [(1.0, 1.5)])
        )
    times_s = np.arange(0, 4, 0.04)
    return Report(
        path=Path("clip.mp4"),
        facts={"length": "4.0 s"},
        variants=variants,
        frames=[(index / 3, np.full((90, 160, 3), 20 * index, np.uint8)) for index in range(12)],
        duration_s=4.0,
        is_photo=False,
        class_times_s=times_s[::5],
        class_probabilities=np.tile([0.9, 0.1], (20, 1)),
        classes=["cat", "dog"],
        allowed=["cat"],
        threshold=0.6,
        scenes=[(0.0, 1.0, "silence"), (1.0, 4.0, "cat")],
        activity=Activity(times_s, np.zeros(100), np.array([1.0, 2.0]), np.array([0.5, 1.0]), np.array([1.0])),
        settings={"seeds": "7, 8"},
        checkpoints={"vqvae": ("checkpoints/vqvae/best.ckpt", "0123abcd")},
        loudness={"before": "-30 LUFS", "after": "-16 LUFS"},
        seconds_per_stage={"looking": 1.0, "codes": 3.0},
    )


def written(report: Report, folder: Path) -> Page:
    write_report(report, folder / "report.html")
    return Page(folder / "report.html")


def test_the_page_needs_nothing_but_itself_and_the_outputs_beside_it(report, tmp_path):
    page = written(report, tmp_path)
    addresses = [attributes[name] for _, attributes in page.tags for name in ("src", "href") if name in attributes]
    outside = {address for address in addresses if not address.startswith("data:")}
    assert outside == {"./clip_0.mp4", "./clip_1.mp4"}
    bare = re.sub(r'"data:[^"]*"', "", page.source)
    assert not re.search(r"//|https?:|@import|url\(", bare)


def test_each_variant_has_a_player_with_its_own_sound(report, tmp_path):
    players = written(report, tmp_path).find("audio")
    assert len(players) == 2
    for player, pitch_hz in zip(players, (440, 880), strict=True):
        with av.open(content(player["src"])) as container:
            rate_hz = container.streams.audio[0].rate
            samples = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
        assert len(samples) / rate_hz == pytest.approx(4.0, abs=0.05)
        assert np.abs(np.fft.rfft(samples)).argmax() * rate_hz / len(samples) == pytest.approx(pitch_hz, rel=0.01)
        assert samples.std() == pytest.approx(0.5 / 2**0.5, rel=0.05)


def test_names_are_shown_as_they_are(report, tmp_path):
    name = """<b>"R&D" 'a' #1?.mp4"""
    variant = replace(report.variants[0], output=Path(name))
    evil = "<script>alert(1)</script>"
    page = written(
        replace(
            report,
            path=Path(name),
            variants=[variant],
            classes=[evil, "dog"],
            allowed=[evil],
            scenes=[(0.0, 4.0, evil)],
            settings={evil: evil},
            facts={evil: evil},
            loudness={evil: evil},
            checkpoints={evil: (evil, evil)},
            seconds_per_stage={evil: 1.0},
        ),
        tmp_path,
    )
    assert len(page.find("script")) == 1
    assert page.text.count(name) == 3  # page title, heading, link
    assert page.text.count(evil) == 13  # facts, legend, scene, its list, stages; two or three in each table
    (link,) = (attributes["href"] for attributes in page.find("a"))
    assert "#" not in link
    assert "?" not in link
    assert unquote(link) == f"./{name}"


def test_a_name_that_is_no_text_does_not_stop_the_report(report, tmp_path):
    name = b"clip\xff.mp4".decode("utf-8", "surrogateescape")
    variant = replace(report.variants[0], output=Path(name))
    page = written(replace(report, path=Path(name), variants=[variant]), tmp_path)
    assert page.find("a")[0]["href"] == "./clip%FF.mp4"


def test_scenes_lie_at_their_times_in_the_colours_of_their_classes(report, tmp_path):
    page = written(report, tmp_path)
    silence, cat = (span for span in page.find("span") if "title" in span and "left" in span["style"])
    assert silence["style"] == "left:0.000%;width:25.000%;--c:var(--none)"
    assert cat["style"] == "left:25.000%;width:75.000%;--c:var(--c0)"
    assert [path["style"] for path in page.find("path", "allowed")] == ["--c:var(--c0)"]
    assert [path["style"] for path in page.find("path", "barred")] == ["--c:var(--c1)"]


def test_of_many_classes_those_that_sound_are_drawn_and_then_the_likeliest():
    classes = [f"class {number}" for number in range(20)]
    probabilities = np.linspace(0, 0.09, 20)[np.newaxis]
    scenes = [(0.0, 1.0, "class 2")]
    nothing = dict.fromkeys(("path", "facts", "variants", "frames", "duration_s", "is_photo", "class_times_s"))
    report = Report(
        **nothing, class_probabilities=probabilities, classes=classes, allowed=classes, threshold=0.6, scenes=scenes
    )
    assert list(report.colours()) == ["class 2", *classes[-7:]]


def test_onsets_stand_at_their_times_as_high_as_they_are_strong(report, tmp_path):
    (stems,) = written(report, tmp_path).find("path", "stem")
    assert stems["d"] == "M2500 1000V500M5000 1000V0"


def test_what_is_absent_is_left_out(report, tmp_path):
    full = written(report, tmp_path).text
    for words in ("Picture", "Classes", "Scenes", "Activity", "1 event", "Loudness", "Checkpoints", "Time spent"):
        assert words in full
    calm = [replace(variant, events=[]) for variant in report.variants]
    empty = {"settings": {}, "checkpoints": {}, "loudness": {}, "seconds_per_stage": {}}
    page = written(replace(report, activity=None, variants=calm, **empty), tmp_path)
    for words in ("Activity", "onset", "event", "cut", "Settings", "Loudness", "Checkpoints", "Time spent"):
        assert words not in page.text
    assert "Scenes" in page.text
    assert len(page.find("section")) == 1


def test_a_photo_has_no_timeline_of_pictures_but_its_classes_and_its_sound(report, tmp_path):
    page = written(replace(report, is_photo=True, frames=report.frames[:1], activity=None), tmp_path)
    for words in ("Picture", "Classes", "Scenes", "Activity", "scene"):
        assert words not in page.text
    assert "What was seen" in page.text
    assert "0.900" in page.text
    assert len(page.find("div", "sound")) == len(page.find("audio")) == 2
    assert page.find("img")[0]["src"] == frame_uri(report.frames[0][1])


def test_an_hour_with_two_variants_makes_a_small_page_that_plays_the_outputs(report, tmp_path):
    rng = np.random.default_rng(0)
    times_s = np.arange(90_000) / 25
    onsets_s = np.sort(rng.uniform(0, 3600, 5000))
    events = [(float(onset_s), float(onset_s) + 0.5) for onset_s in onsets_s]
    noise = rng.uniform(-1, 1, (240, 20_000))
    long = replace(
        report,
        variants=[replace(variant, spectrogram=noise, events=events) for variant in report.variants],
        frames=[(index, rng.integers(256, size=(720, 1280, 3), dtype=np.uint8)) for index in range(24)],
        duration_s=3600.0,
        class_times_s=times_s[::5],
        class_probabilities=rng.uniform(size=(18_000, 2)),
        scenes=[(float(start_s), float(start_s) + 3, "cat") for start_s in range(0, 3600, 3)],
        activity=Activity(times_s, rng.random(90_000), onsets_s, rng.random(5000), np.arange(3.0, 3600, 3)),
    )
    page = written(long, tmp_path)
    assert (tmp_path / "report.html").stat().st_size < 5e6
    assert [player["src"] for player in page.find("audio")] == ["./clip_0.mp4", "./clip_1.mp4"]
    assert len(page.find("img")) == 1 + 12 + 2


def test_a_sound_that_cannot_be_read_leaves_the_old_report_in_place(report, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    report.variants[0].sound.write_text("no sound")
    with pytest.raises(UnreadableSound, match=r"sound_0\.wav is not a readable sound"):
        write_report(report, path)
    report.variants[0].sound.unlink()
    with pytest.raises(FileNotFoundError, match=r"sound_0\.wav is not a file"):
        write_report(report, path)
    assert path.read_text() == "old"
    assert not list(tmp_path.glob(".*"))
