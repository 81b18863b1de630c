import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from networks import VQVAE2
from networks.codec.code_grid import flatten_codes
from networks.codec.codec import Codec
from tests.conftest import PROJECT
from tests.helpers.tiny import (
    BOTTOM_LENGTH,
    GEOMETRY,
    NUM_CODES,
    TOP_LENGTH,
    fitted_vqvae,
    tiny_sounds,
    tiny_vqvae,
)
from tests.helpers.tiny_networks import strengthened


@pytest.fixture(scope="module")
def codec() -> Codec:
    return fitted_vqvae().codec


@torch.no_grad()
def test_encoding_then_decoding_is_the_network(codec):
    waveform = tiny_sounds()["waveform"]
    output = codec.network(codec.spectrogram(waveform))
    top_codes, bottom_codes = codec.encode(waveform)
    assert top_codes.shape == (8, TOP_LENGTH)
    assert bottom_codes.shape == (8, BOTTOM_LENGTH)
    assert torch.equal(top_codes, flatten_codes(output.top.codes))
    assert len(top_codes.unique()) > 4
    torch.testing.assert_close(codec.decode(top_codes, bottom_codes), output.reconstruction)


@torch.no_grad()
def test_codes_of_any_length_are_decoded(codec):
    top_codes, bottom_codes = codec.encode(tiny_sounds()["waveform"])
    frames = GEOMETRY.num_frames
    three, five = (codec.decode(top_codes.repeat(1, n), bottom_codes.repeat(1, n)) for n in (3, 5))
    assert five.shape == (8, 1, GEOMETRY.num_bins, 5 * frames)
    torch.testing.assert_close(three[..., frames : 2 * frames], five[..., 2 * frames : 3 * frames])


@torch.no_grad()
@pytest.mark.parametrize("num_top_columns", [1, 2, 5, 40])
@pytest.mark.parametrize("options", [{}, {"num_residual_blocks": 0}, {"bottom_stride": 2}, {"top_stride": 16}], ids=str)
def test_columns_are_decoded_as_the_whole_is(num_top_columns, options):
    network = strengthened(VQVAE2(**tiny_vqvae().network.describe()["init_args"] | options)).eval()
    geometry = dataclasses.replace(GEOMETRY, bottom_stride=network.bottom_stride, top_stride=network.top_stride)
    codec = Codec(network, geometry, torch.zeros(geometry.num_bins))
    scale = geometry.top_stride // geometry.bottom_stride
    generator = torch.Generator().manual_seed(0)
    top = torch.randint(NUM_CODES, (2, 17, geometry.top_shape[0]), generator=generator)
    bottom = torch.randint(NUM_CODES, (2, 17 * scale, geometry.bottom_shape[0]), generator=generator)
    expected = codec.decode(top.flatten(1), bottom.flatten(1))
    pieces = list(codec.decode_columns(iter(top.unbind(1)), iter(bottom.unbind(1)), num_top_columns))
    assert len(pieces) == -(-17 // num_top_columns)
    torch.testing.assert_close(torch.cat(pieces, dim=-1), expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_a_coarse_picture_needs_top_codes_only(codec):
    output = codec.network(codec.spectrogram(tiny_sounds()["waveform"]))
    nothing = torch.zeros_like(output.bottom.vectors)
    torch.testing.assert_close(
        codec.decode_coarsely(flatten_codes(output.top.codes)), codec.network.decode(output.top.vectors, nothing)
    )


@torch.no_grad()
def test_the_waveform_of_a_decoded_spectrogram_has_the_grain_of_its_seed(codec):
    decoded = codec.decode(*codec.encode(tiny_sounds()["waveform"][:2]))
    smooth, first, again, other = (
        codec.invert(decoded, [seed, 9], strength, num_iterations=2)
        for seed, strength in ((1, 0.0), (1, 1.0), (1, 1.0), (2, 1.0))
    )
    torch.testing.assert_close(smooth, codec.spectrogram.invert(decoded, num_iterations=2))
    assert torch.equal(first, again)
    assert not torch.allclose(first[0], other[0], atol=1e-3)
    assert torch.equal(first[1], other[1])


def test_it_moves_as_a_whole(codec):
    moved = Codec(strengthened(tiny_vqvae().network), GEOMETRY, codec.residual_db).to(torch.device("meta"))
    assert {tensor.device.type for tensor in (*moved.network.state_dict().values(), moved.residual_db)} == {"meta"}
    assert moved.device.type == "meta"


HOUR = """
from itertools import islice, tee
from pathlib import Path
import torch
from media import Geometry
from networks import VQVAE2, CodePrior, Sampling, TopContext, stream_columns
from networks.codec.codec import Codec

def resident_bytes():
    return 4096 * int(Path("/proc/self/statm").read_text().split()[1])

torch.manual_seed(0)
torch.set_num_threads(1)
strides = dict(bottom_stride=8, top_stride=16)
geometry = Geometry(sample_rate_hz=80, n_fft=30, hop_samples=8, num_frames=48, **strides)
network = VQVAE2(width=8, num_residual_blocks=1, residual_width=4, embedding_dim=4, num_codes=8, **strides)
codec = Codec(network.eval(), geometry, torch.zeros(geometry.num_bins))
sizes = dict(num_classes=2, num_codes=8, width=16, num_layers=1, num_heads=2, feedforward_width=32)
context = TopContext(num_codes=8, width=16, num_layers=1, kernel_size=3, rank=4)
sizes["attention_columns"] = ATTENTION_COLUMNS
top = CodePrior(num_rows=1, num_columns=60, **sizes).eval()
bottom = CodePrior(num_rows=2, num_columns=120, top_context=context, **sizes).eval()

labels = torch.tensor([0, 1])
for_bottom, for_decoder = tee(stream_columns(top, labels, [1, 2], Sampling()))
bottom_columns = stream_columns(bottom, labels, [3, 4], Sampling(), for_bottom)
pictures = codec.decode_columns(for_decoder, bottom_columns, num_top_columns=6)
num_samples = after_a_tenth = 0
for waveform in codec.spectrogram.invert_pieces(pictures, num_iterations=4):
    num_samples += waveform.shape[1]
    if num_samples >= 360 * 80 and not after_a_tenth:
        after_a_tenth = resident_bytes()
    if num_samples >= 3600 * 80:
        break
print(resident_bytes() - after_a_tenth)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the resident size is read from Linux")
@pytest.mark.parametrize("attention_columns", [None, 3])
def test_an_hour_of_sound_needs_the_memory_of_minutes(attention_columns):
    """From both priors to the waveform: at the end the process is as large as after a tenth."""
    program = HOUR.replace("ATTENTION_COLUMNS", str(attention_columns))
    result = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) < 2**20
