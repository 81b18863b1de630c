"""Each system's training step on a pretended CUDA device: all of it is there, and the host waits for nothing.

Fake tensors have a device and a shape, and no values. They refuse to mix devices, and raise if the host asks for a
value, which on a GPU would wait for all work before. Two things that need a driver are pretended, too.
"""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from lightning_modules import Classifier, System
from networks import ResNet50
from tests.helpers.tiny import fitted_vqvae, tiny_bottom, tiny_classifier, tiny_top, tiny_vqvae

PRECISIONS = {
    torch.float32: Precision(),
    torch.float16: MixedPrecision("16-mixed", "cuda", scaler=object()),
    torch.bfloat16: MixedPrecision("bf16-mixed", "cuda"),
}


def reference_classifier() -> Classifier:
    classifier = Classifier(ResNet50(2), weights=None)
    classifier.facts = {"image_size": 64}
    return classifier


@pytest.fixture(autouse=True)
def cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Autocast without a driver, and generators, which fake tensors do not take."""
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *args, **options: True)
    real = torch.Generator
    none = SimpleNamespace(manual_seed=lambda seed: None)
    monkeypatch.setattr(torch, "Generator", lambda device="cpu": real() if torch.device(device).type == "cpu" else none)


def on_cuda(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="cuda")


def train_step_on_cuda(system: System, dtype: torch.dtype, left_behind: str = "") -> tuple[Tensor, set[torch.dtype]]:
    """The loss, and what the layers computed in; a buffer of the name `left_behind` stays on the CPU."""
    logged: dict[str, Any] = {}
    system.train().requires_grad_(True)
    system.log_dict = logged.update
    system.log = lambda name, value, **options: logged.update({name: value})
    system._trainer = SimpleNamespace(optimizers=[SimpleNamespace(param_groups=[{"lr": 0.1}])])
    batch, dtypes = system.example_batch(2), set()
    with FakeTensorMode() as mode:
        for module in system.modules():
            module._parameters |= {
                name: nn.Parameter(on_cuda(parameter))
                for name, parameter in module._parameters.items()
                if parameter is not None
            }
            module._buffers |= {
                name: mode.from_tensor(buffer) if name == left_behind else on_cuda(buffer)
                for name, buffer in module._buffers.items()
            }
            if isinstance(module, nn.Linear | nn.Conv2d):
                module.register_forward_hook(lambda module, args, output: dtypes.add(output.dtype))
        batch = {name: on_cuda(values) for name, values in batch.items()}
        with PRECISIONS[dtype].forward_context():
            loss = system.training_step(batch, 0)
    assert logged["train/loss"] is loss
    return loss, dtypes


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("make", [fitted_vqvae, tiny_top, tiny_bottom, tiny_classifier, reference_classifier])
def test_a_step_stays_on_the_device_and_waits_for_nothing(make, dtype):
    loss, dtypes = train_step_on_cuda(make(), dtype)
    assert (loss.device.type, loss.dtype, loss.shape) == ("cuda", torch.float32, ())
    assert dtypes == {dtype}


@pytest.mark.parametrize("revive_below", [0.0, 1e9])
def test_the_revival_of_codes_waits_for_nothing(revive_below):
    vqvae = fitted_vqvae()
    vqvae.network.quantize_top.revive_below = revive_below
    train_step_on_cuda(vqvae, torch.float32)


def test_a_tensor_left_behind_is_noticed():
    with pytest.raises(RuntimeError, match=r"two (different )?devices"):
        train_step_on_cuda(tiny_classifier(), torch.float32, left_behind="mean")


def test_a_wait_is_noticed():
    with pytest.raises(DataDependentOutputException):
        train_step_on_cuda(tiny_vqvae(), torch.float32)  # the start of the codebooks does wait
