import pytest
import torch
from torch.nn import functional as F

from lightning_modules import VQVAE, load
from networks import PatchCritic
from tests.lightning_modules.tiny import fitted, sound_data, tiny_sounds, tiny_trainer, tiny_vqvae


def tiny_criticised(**options) -> VQVAE:
    torch.manual_seed(0)
    return tiny_vqvae(critic=PatchCritic(width=4, num_halvings=2), **options)


def gradients(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None] or [torch.zeros(1)])


def losses_of(vqvae: VQVAE) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The spectrogram, its reconstruction, and what decoder and critic minimise."""
    spectrogram = vqvae.spectrogram(tiny_sounds()["waveform"])
    reconstruction = vqvae.network(spectrogram).reconstruction
    reconstruction.retain_grad()
    return spectrogram, reconstruction, *vqvae._critic_losses(spectrogram, reconstruction)


@pytest.mark.parametrize("weight", [0.5, 3.0])
def test_criticism_is_as_strong_as_the_error_times_its_weight(weight):
    spectrogram, reconstruction, for_decoder, _ = losses_of(tiny_criticised(critic_weight=weight))
    for_decoder.backward(retain_graph=True)
    criticism = reconstruction.grad.clone()
    reconstruction.grad = None
    F.mse_loss(reconstruction, spectrogram).backward()
    torch.testing.assert_close(criticism.norm(), weight * reconstruction.grad.norm())


def test_neither_learns_from_what_is_meant_for_the_other():
    vqvae = tiny_criticised()
    *_, for_decoder, for_critic = losses_of(vqvae)
    for_decoder.backward()
    assert gradients(vqvae.network.decoder).any()
    assert not gradients(vqvae.critic).any()
    vqvae.zero_grad()
    for_critic.backward()
    assert gradients(vqvae.critic).any()
    assert not gradients(vqvae.network).any()


def test_criticism_begins_at_its_step():
    figures = [
        fitted(tiny_criticised(critic_from_step=step), sound_data(), max_steps=2).callback_metrics for step in (5, 1)
    ]
    assert ["train/critic_loss" in found for found in figures] == [False, True]


def test_a_fit_goes_on_with_its_critic(tmp_path):
    vqvae = tiny_criticised()
    fitted(vqvae, sound_data(), max_steps=2).save_checkpoint(tmp_path / "two.ckpt")
    stored = load(tmp_path / "two.ckpt")
    assert stored.critic.describe() == vqvae.critic.describe()
    tiny_trainer(max_steps=4, limit_val_batches=0).fit(
        tiny_criticised(), sound_data(), ckpt_path=tmp_path / "two.ckpt", weights_only=True
    )
