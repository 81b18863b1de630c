import os
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from media.video.photo_files import UnreadablePhoto, count_pictures, is_photo, read_photo

RAMP = np.linspace(0, 255, 64).round().astype(np.uint8).reshape(8, 8)


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(RAMP),
        Image.fromarray(RAMP).convert("P"),
        Image.fromarray(RAMP).convert("RGB"),
        Image.fromarray(RAMP).convert("RGBA"),
        Image.fromarray(RAMP).convert("LA"),
        Image.fromarray(RAMP.astype(np.uint16) * 257),
    ],
    ids=lambda image: image.mode,
)
def test_every_mode_becomes_rgb(tmp_path, image):
    image.save(tmp_path / "photo.png")
    photo = read_photo(tmp_path / "photo.png")
    assert photo.dtype == np.uint8
    np.testing.assert_array_equal(photo, np.stack([RAMP] * 3, axis=2))


WEDGE = np.tile(np.linspace(0, 1, 64), (4, 1))


@pytest.mark.parametrize(
    ("values", "white"),
    [
        (WEDGE.astype(np.float32), 1),
        ((255 * WEDGE).astype(np.float32), 255),
        ((65_535 * WEDGE).astype(np.float32), 65_535),
        ((1e6 * WEDGE).astype(np.float32), 1e6),
        ((65_535 * WEDGE).round().astype(np.uint16), 65_535),
        ((2**30 * WEDGE).astype(np.int32), 2**30),
    ],
    ids=lambda value: f"{value:g}" if np.isscalar(value) else str(value.dtype),
)
def test_greys_of_many_bits_become_a_wedge(tmp_path, values, white):
    Image.fromarray(values).save(tmp_path / "grey.tif")
    photo = read_photo(tmp_path / "grey.tif")
    assert photo.mean() == pytest.approx(127.5, abs=1)
    np.testing.assert_allclose(photo[..., 0], 255 * (values / white), atol=0.51)


def test_odd_floats_are_no_obstacle(tmp_path):
    values = WEDGE.astype(np.float32)
    values[0, :3] = np.nan, np.inf, -np.inf
    Image.fromarray(values).save(tmp_path / "grey.tif")
    photo = read_photo(tmp_path / "grey.tif")
    assert photo[0, :3].max() == 0
    assert photo[1:].mean() == pytest.approx(127.5, abs=1)


def test_a_png_may_carry_a_long_text(tmp_path):
    notes = PngImagePlugin.PngInfo()
    notes.add_text("settings", "layer " * 300_000, zip=True)
    Image.fromarray(RAMP).save(tmp_path / "photo.png", pnginfo=notes)
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.png")[..., 0], RAMP)


@pytest.mark.parametrize("kind", ["avif", "bmp", "jpeg", "png", "ppm", "tiff", "webp"])
def test_a_photo_is_told_by_its_content(tmp_path, kind):
    Image.fromarray(RAMP).convert("RGB").save(tmp_path / f"photo.{kind}")
    path = (tmp_path / f"photo.{kind}").rename(tmp_path / "video.mp4")
    assert is_photo(path)
    assert count_pictures(path) == 1
    assert np.abs(read_photo(path)[..., 0].astype(int) - RAMP).mean() < 8


def test_a_video_is_no_photo_whatever_its_name_says(tmp_path):
    (tmp_path / "v.mp4").write_bytes(b"\0\0\0\x20ftypisom\0\0\2\0")
    (tmp_path / "v.gif").write_bytes(b"GIF89a")
    (tmp_path / "empty.jpg").write_bytes(b"")
    assert not any(is_photo(tmp_path / name) for name in ("v.mp4", "v.gif", "empty.jpg"))


def test_a_heic_photo_that_cannot_be_read_says_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "open", Mock(side_effect=UnidentifiedImageError("unknown")))
    path = tmp_path / "IMG_0001.HEIC"
    path.write_bytes(b"\0\0\0\x24ftypheic\0\0\0\0mif1heic")
    assert is_photo(path)
    with pytest.raises(UnreadablePhoto, match=r"IMG_0001\.HEIC is not a readable photo: .* pip install pillow-heif"):
        read_photo(path)


def test_pictures_of_an_animation_and_of_a_document_are_counted(tmp_path):
    images = [Image.new("RGB", (8, 8), (60 * number, 0, 0)) for number in range(4)]
    for name, options in (("a.webp", {"duration": 250}), ("a.tif", {})):
        images[0].save(tmp_path / name, save_all=True, append_images=images[1:], **options)
        assert is_photo(tmp_path / name)
        assert count_pictures(tmp_path / name) == 4


def test_cmyk_becomes_rgb(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "photo.tif")
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.tif"), np.full((8, 8, 3), [255, 0, 0]))


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_transparent_parts_are_white(tmp_path, mode):
    image = Image.new("RGBA", (8, 8), (10, 20, 30, 255))
    image.paste((0, 0, 0, 0), (0, 0, 4, 8))
    image.convert(mode).save(tmp_path / "photo.png")
    photo = read_photo(tmp_path / "photo.png")
    np.testing.assert_array_equal(photo[:, :4], 255)
    assert np.abs(photo[:, 4:].astype(int) - [10, 20, 30]).max() <= 30  # a palette has few colours


def test_exif_rotation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise by 90 degrees
    Image.fromarray(RAMP[:4]).save(tmp_path / "photo.png", exif=exif)
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.png")[..., 0], np.rot90(RAMP[:4], -1))


def test_odd_exif_is_harmless(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "photo.png", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01")
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.png")[..., 0], RAMP)


def test_large_photos_are_read_and_enormous_ones_refused(tmp_path, monkeypatch):
    Image.fromarray(RAMP).save(tmp_path / "photo.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)  # Pillow warns above it and refuses above twice as many
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.png")[..., 0], RAMP)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(UnreadablePhoto, match=r"photo\.png is not a readable photo: .*decompression bomb"):
        read_photo(tmp_path / "photo.png")


def test_what_is_no_photo_is_named(tmp_path):
    path = tmp_path / "photo.jpg"
    with pytest.raises(FileNotFoundError, match=r"photo\.jpg"):
        read_photo(path)
    Image.effect_noise((64, 64), 50).save(path)
    whole = path.read_bytes()
    for content in (b"", b"no photo", np.random.default_rng(0).bytes(9_999), whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(UnreadablePhoto, match=r"photo\.jpg is not a readable photo"):
            read_photo(path)


def test_a_folder_is_no_photo_and_a_wrong_suffix_does_not_matter(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a file; expected a photo"):
        read_photo(tmp_path)
    Image.fromarray(RAMP).save(tmp_path / "photo.png")
    np.testing.assert_array_equal(read_photo((tmp_path / "photo.png").rename(tmp_path / "photo.jpg"))[..., 0], RAMP)


@pytest.mark.skipif("V2A_REAL_DATA" not in os.environ, reason="needs a folder of real videos, V2A_REAL_DATA")
def test_real_photos():
    for path in sorted((Path(os.environ["V2A_REAL_DATA"]) / "photos").rglob("*.jpg")):
        assert read_photo(path).std() > 5
