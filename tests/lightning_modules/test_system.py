import math

import pytest
import torch

from tests.helpers.new_system.toy_flow import TextEncoder, ToyFlow, Velocity
from tests.helpers.tiny import (
    code_data,
    fitted,
    sound_data,
    tiny_classifier,
    tiny_top,
    tiny_trainer,
    tiny_vqvae,
)


def factors(warmup_steps: int, max_steps: int) -> list[float]:
    system = tiny_top()
    system.warmup_steps = warmup_steps
    system.trainer = tiny_trainer(max_steps=max_steps, max_epochs=1)
    return [system.learning_rate_factor(step) for step in range(110)]


def test_the_learning_rate_warms_up_and_ends_at_a_tenth():
    rates = factors(warmup_steps=9, max_steps=100)
    assert rates[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert rates[9] == max(rates) == 1.0
    assert rates[9:101] == sorted(rates[9:101], reverse=True)
    middle = 9 + 91 / 3  # a third of the cosine
    assert rates[int(middle)] > 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 3)) > rates[int(middle) + 1]
    assert rates[100:] == pytest.approx([0.1] * 10)


def test_the_learning_rate_stays_flat_without_a_last_step():
    assert factors(warmup_steps=0, max_steps=-1) == [1.0] * 110
    assert factors(warmup_steps=4, max_steps=-1)[3:6] == pytest.approx([0.8, 1.0, 1.0])


def test_the_optimiser_steps_with_the_rate_of_its_step():
    system = tiny_top(learning_rate=1e-2)
    system.warmup_steps = 4
    trainer = fitted(system, code_data(), max_steps=2)
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(1e-2 * 3 / 5)
    assert trainer.callback_metrics["train/learning_rate"] == pytest.approx(1e-2 * 2 / 5)


def test_weight_decay_spares_biases_and_norms():
    system = tiny_top(weight_decay=0.3)
    decayed, spared = system.optimizer_groups()
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.3, 0.0)
    assert all(parameter.dim() > 1 for parameter in decayed["params"])
    assert all(parameter.dim() <= 1 for parameter in spared["params"])
    assert len(decayed["params"]) + len(spared["params"]) == len(list(system.parameters()))


def test_another_number_of_classes_than_the_datas_is_refused():
    with pytest.raises(ValueError, match=r"num_classes is 2, but the data has 3 classes: \['cat', 'dog', 'owl'\]"):
        fitted(tiny_top(), code_data(classes=["cat", "dog", "owl"]))


def test_classes_are_numbers_until_data_or_a_checkpoint_names_them():
    system = tiny_classifier(num_classes=3)
    assert system.classes == ["0", "1", "2"]
    system.facts = {"classes": ["cat", "dog", "owl"]}
    assert system.classes == ["cat", "dog", "owl"]


def test_figures_are_of_one_validation_only():
    system, data = tiny_vqvae(learning_rate=0.0), sound_data()
    trainer = fitted(system, data, max_steps=2, limit_val_batches=1.0)
    first = dict(trainer.callback_metrics)
    assert all(metric.update_count == 0 for metric in system.held_out["val"].values())
    second = trainer.validate(system, data, verbose=False)[0]
    assert {name: first[name].item() for name in second} == pytest.approx(second)
    assert {name.replace("val/", "test/") for name in second} == trainer.test(system, data, verbose=False)[0].keys()


@pytest.mark.parametrize("system", [tiny_vqvae(), tiny_top()], ids=["vqvae", "top"])
def test_a_network_that_saw_no_data_has_no_metric_in_its_state(system):
    assert {name.split(".")[0] for name in system.state_dict()} - {"residual_db"} == {"network"}
    assert isinstance(system.held_out["val"], torch.nn.ModuleDict)


def test_frozen_parts_are_never_in_training_mode(tmp_path):
    torch.save(torch.randn(6, 8), tmp_path / "words.pt")
    flow = ToyFlow(Velocity(), TextEncoder(str(tmp_path / "words.pt"))).train()
    assert flow.network.training
    assert not flow.text_encoder.training
    assert not flow.text_encoder.vectors.requires_grad


def test_a_system_without_metrics_is_refused_before_the_first_step():
    system = tiny_top()
    del system.held_out
    with pytest.raises(ValueError, match=r"TopPrior has no metrics: call set_metrics\(…\)"):
        fitted(system, code_data())
