import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from lightning_modules import VQVAE
from networks import VQVAE2
from networks.codec.code_grid import flatten_codes
from tests.conftest import PROJECT
from tests.helpers.tiny import (
    BOTTOM_LENGTH,
    CLASSES,
    GEOMETRY,
    NUM_CODES,
    TOP_LENGTH,
    fitted,
    fitted_vqvae,
    sound_data,
    tiny_sounds,
    tiny_trainer,
    tiny_vqvae,
)
from tests.helpers.tiny_networks import strengthened


@pytest.fixture(scope="module")
def vqvae() -> VQVAE:
    return fitted_vqvae()


@torch.no_grad()
def test_encoding_then_decoding_is_the_network(vqvae):
    waveform = tiny_sounds()["waveform"]
    output = vqvae.network(vqvae.spectrogram(waveform))
    top_codes, bottom_codes = vqvae.encode(waveform)
    assert top_codes.shape == (8, TOP_LENGTH)
    assert bottom_codes.shape == (8, BOTTOM_LENGTH)
    assert torch.equal(top_codes, flatten_codes(output.top.codes))
    assert len(top_codes.unique()) > 4
    torch.testing.assert_close(vqvae.decode(top_codes, bottom_codes), output.reconstruction)


@torch.no_grad()
def test_codes_of_any_length_are_decoded(vqvae):
    top_codes, bottom_codes = vqvae.encode(tiny_sounds()["waveform"])
    frames = GEOMETRY.num_frames
    three, five = (vqvae.decode(top_codes.repeat(1, n), bottom_codes.repeat(1, n)) for n in (3, 5))
    assert five.shape == (8, 1, GEOMETRY.num_bins, 5 * frames)
    torch.testing.assert_close(three[..., frames : 2 * frames], five[..., 2 * frames : 3 * frames])


@torch.no_grad()
@pytest.mark.parametrize("num_top_columns", [1, 2, 5, 40])
@pytest.mark.parametrize("options", [{}, {"num_residual_blocks": 0}, {"bottom_stride": 2}, {"top_stride": 16}], ids=str)
def test_columns_are_decoded_as_the_whole_is(num_top_columns, options):
    network = strengthened(VQVAE2(**tiny_vqvae().network.describe()["init_args"] | options)).eval()
    geometry = dataclasses.replace(GEOMETRY, bottom_stride=network.bottom_stride, top_stride=network.top_stride)
    vqvae = VQVAE(network, geometry)
    scale = geometry.top_stride // geometry.bottom_stride
    generator = torch.Generator().manual_seed(0)
    top = torch.randint(NUM_CODES, (2, 17, geometry.top_shape[0]), generator=generator)
    bottom = torch.randint(NUM_CODES, (2, 17 * scale, geometry.bottom_shape[0]), generator=generator)
    expected = vqvae.decode(top.flatten(1), bottom.flatten(1))
    pieces = list(vqvae.decode_columns(iter(top.unbind(1)), iter(bottom.unbind(1)), num_top_columns))
    assert len(pieces) == -(-17 // num_top_columns)
    torch.testing.assert_close(torch.cat(pieces, dim=-1), expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_a_coarse_picture_needs_top_codes_only(vqvae):
    output = vqvae.network(vqvae.spectrogram(tiny_sounds()["waveform"]))
    nothing = torch.zeros_like(output.bottom.vectors)
    torch.testing.assert_close(
        vqvae.decode_coarsely(flatten_codes(output.top.codes)), vqvae.network.decode(output.top.vectors, nothing)
    )


def test_the_loss_is_the_error_and_the_weighted_commitment_of_both_levels():
    for weight in (0.0, 0.25, 4.0):
        torch.manual_seed(0)
        system = tiny_vqvae(commitment_weight=weight, learning_rate=0.0)
        before = {name: value.clone() for name, value in system.state_dict().items()}
        trainer = fitted(system, sound_data(), max_steps=1)
        figures = trainer.callback_metrics
        system.load_state_dict(before)
        system.train()
        first_four = {name: values[:4] for name, values in tiny_sounds().items()}
        with torch.no_grad():
            spectrogram = system.spectrogram(first_four["waveform"])
            output = system.network(spectrogram)
        mse = F.mse_loss(output.reconstruction, spectrogram)
        commitment = output.top.commitment_loss + output.bottom.commitment_loss
        assert commitment > 0
        assert figures["train/mse"] == pytest.approx(mse.item(), rel=1e-4)
        assert figures["train/commitment"] == pytest.approx(commitment.item(), rel=1e-4)
        assert figures["train/loss"] == pytest.approx((mse + weight * commitment).item(), rel=1e-4)


def test_gradients_reach_every_weight_of_both_levels():
    system = tiny_vqvae()
    system.trainer = tiny_trainer()
    spectrogram = system.spectrogram(tiny_sounds()["waveform"])
    loss, _, _ = system._losses(spectrogram, system.network(spectrogram))
    loss.backward()
    assert not [name for name, parameter in system.named_parameters() if parameter.grad is None]


def test_held_out_figures_are_those_of_all_codes_at_once(vqvae):
    (figures,) = tiny_trainer().validate(vqvae, sound_data(), verbose=False)
    spectrogram = vqvae.spectrogram(tiny_sounds()["waveform"])
    with torch.no_grad():
        output = vqvae.network(spectrogram)
    for level in ("top", "bottom"):
        counts = torch.bincount(getattr(output, level).codes.flatten(), minlength=NUM_CODES).double()
        frequencies = counts[counts > 0] / counts.sum()
        assert figures[f"val/{level}_perplexity"] == pytest.approx(
            torch.exp(-(frequencies * frequencies.log()).sum()).item(), rel=1e-5
        )
        assert figures[f"val/{level}_codes_in_use"] == (counts > 0).sum()
    assert figures["val/mse"] == pytest.approx(F.mse_loss(output.reconstruction, spectrogram).item(), rel=1e-4)


def test_predictions_are_reconstructions_of_each_sound(vqvae):
    (first, second) = tiny_trainer().predict(vqvae, sound_data())
    predictions = first + second
    assert [p.name for p in predictions] == [f"reconstruction_{CLASSES[i % 2]}_{i:04d}" for i in range(8)]
    assert [p.label for p in predictions] == CLASSES * 4
    original = vqvae.spectrogram(tiny_sounds()["waveform"])
    for index, prediction in enumerate(predictions):
        assert prediction.waveform.shape == (GEOMETRY.window_samples,)
        (_, left), (_, right) = prediction.pictures
        assert torch.equal(left, original[index, 0])
        assert not torch.equal(left, right)


@torch.no_grad()
def test_validation_tells_how_much_grain_is_missing():
    vqvae = tiny_vqvae()
    tiny_trainer().test(vqvae, sound_data(), verbose=False)
    assert not vqvae.residual_db.any(), "the test part is only measured"
    tiny_trainer().validate(vqvae, sound_data(), verbose=False)
    spectrogram = vqvae.spectrogram(tiny_sounds()["waveform"])
    decoded = vqvae.eval().network(spectrogram).reconstruction
    error_db = (decoded - spectrogram) * GEOMETRY.dynamic_range_db / 2
    torch.testing.assert_close(vqvae.residual_db, error_db.square().mean(dim=(0, 1, 3)).sqrt())
    (smooth,), (half,), (full,) = (
        vqvae.with_grain([decoded], range(len(decoded)), strength) for strength in (0.0, 0.5, 1.0)
    )
    torch.testing.assert_close(smooth, decoded)
    assert 0 < (half - decoded).std() < (full - decoded).std()


def test_strides_that_differ_from_the_geometrys_are_refused():
    with pytest.raises(ValueError, match=r"\(4, 16\) in the network, \(4, 8\) in the geometry"):
        VQVAE(VQVAE2(top_stride=16), GEOMETRY)


HOUR = """
from itertools import islice, tee
from pathlib import Path
import torch
from lightning_modules import VQVAE
from media import Geometry
from networks import VQVAE2, CodePrior, Sampling, TopContext, stream_columns

def resident_bytes():
    return 4096 * int(Path("/proc/self/statm").read_text().split()[1])

torch.manual_seed(0)
torch.set_num_threads(1)
strides = dict(bottom_stride=8, top_stride=16)
geometry = Geometry(sample_rate_hz=80, n_fft=30, hop_samples=8, num_frames=48, **strides)
network = VQVAE2(width=8, num_residual_blocks=1, residual_width=4, embedding_dim=4, num_codes=8, **strides)
vqvae = VQVAE(network, geometry).eval()
sizes = dict(num_classes=2, num_codes=8, width=16, num_layers=1, num_heads=2, feedforward_width=32)
context = TopContext(num_codes=8, width=16, num_layers=1, kernel_size=3, rank=4)
sizes["attention_columns"] = ATTENTION_COLUMNS
top = CodePrior(num_rows=1, num_columns=60, **sizes).eval()
bottom = CodePrior(num_rows=2, num_columns=120, top_context=context, **sizes).eval()

labels = torch.tensor([0, 1])
for_bottom, for_decoder = tee(stream_columns(top, labels, [1, 2], Sampling()))
bottom_columns = stream_columns(bottom, labels, [3, 4], Sampling(), for_bottom)
pictures = vqvae.decode_columns(for_decoder, bottom_columns, num_top_columns=6)
num_samples = after_a_tenth = 0
for waveform in vqvae.spectrogram.invert_pieces(pictures, num_iterations=4):
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
