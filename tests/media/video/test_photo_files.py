import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from media.video.photo_files import UnreadablePhoto, read_photo

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
