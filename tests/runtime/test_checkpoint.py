from pathlib import Path

import pytest
import torch

from lightning_modules import TopPrior, load
from runtime.checkpoint import check_equal, fingerprint
from tests.helpers.tiny import (
    CLASSES,
    TinyData,
    code_data,
    fitted,
    fitted_vqvae,
    photo_data,
    sound_data,
    tiny_bottom,
    tiny_classifier,
    tiny_codes,
    tiny_photos,
    tiny_sounds,
    tiny_top,
    tiny_trainer,
    tiny_vqvae,
)


def outputs(system) -> list[torch.Tensor]:
    codes, labels = tiny_codes(), torch.tensor([0, 1] * 4)
    with torch.no_grad():
        if hasattr(system, "geometry"):
            output = system.network(system.spectrogram(tiny_sounds()["waveform"]))
            return [output.reconstruction, output.top.codes, output.bottom.codes]
        if hasattr(system, "weights"):
            return [system.network(tiny_photos()["image"])]
        if system.level == "top":
            return [system.network(codes["top_codes"], labels)]
        return [system.network(codes["bottom_codes"], labels, codes["top_codes"])]


@pytest.mark.parametrize(
    ("make_system", "make_data"),
    [
        (lambda: tiny_vqvae(commitment_weight=0.5), sound_data),
        (tiny_top, code_data),
        (lambda: tiny_bottom(dropout=0.1), code_data),
        (tiny_classifier, photo_data),
    ],
    ids=["vqvae", "top", "bottom", "classifier"],
)
def test_a_system_comes_back_from_its_file_alone(tmp_path, make_system, make_data):
    system, data = make_system(), make_data()
    fitted(system, data).save_checkpoint(tmp_path / "trained.ckpt")
    loaded = load(tmp_path / "trained.ckpt")
    assert type(loaded) is type(system)
    assert loaded.describe() == system.describe()
    assert loaded.facts == data.facts()
    assert loaded.classes == CLASSES
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    for found, expected in zip(outputs(loaded), outputs(system.eval()), strict=True):
        assert torch.equal(found, expected)


def test_a_checkpoint_holds_plain_data_and_weights_only(tmp_path):
    fitted(tiny_top(), code_data()).save_checkpoint(tmp_path / "trained.ckpt")
    checkpoint = torch.load(tmp_path / "trained.ckpt", weights_only=True)
    assert checkpoint["video2audio"]["system"]["class_path"] == "lightning_modules.TopPrior"
    assert checkpoint["video2audio"]["system"]["init_args"]["network"]["init_args"]["num_rows"] == 8
    assert not [name for name in checkpoint["state_dict"] if not name.startswith("network.")]


def test_a_missing_checkpoint_is_named_with_the_command_that_makes_it():
    with pytest.raises(FileNotFoundError, match=r"nowhere/best.ckpt.*python cli.py fit --config vqvae.yaml"):
        load("nowhere/best.ckpt", config="vqvae.yaml")
    with pytest.raises(FileNotFoundError, match=r"nowhere/best.ckpt\.$"):
        load("nowhere/best.ckpt")


def test_a_damaged_checkpoint_is_named(tmp_path):
    path = tmp_path / "cut.ckpt"
    fitted(tiny_top(), code_data()).save_checkpoint(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"cut.ckpt cannot be read; it is damaged"):
        load(path)


@pytest.mark.parametrize("content", [{"state_dict": {}}, [1, 2], torch.zeros(2)], ids=["dict", "list", "tensor"])
def test_a_foreign_checkpoint_is_named(tmp_path, content):
    torch.save(content, tmp_path / "foreign.ckpt")
    with pytest.raises(ValueError, match=r"foreign.ckpt was not written by this project"):
        load(tmp_path / "foreign.ckpt")


def resume(tmp_path: Path, saved, saved_data: TinyData, resumed, resumed_data: TinyData) -> None:
    path = tmp_path / "saved.ckpt"
    fitted(saved, saved_data, max_steps=2).save_checkpoint(path)
    tiny_trainer(max_steps=4, limit_val_batches=0).fit(resumed, resumed_data, ckpt_path=path, weights_only=True)


BOOKS = {"codebooks": "0123456789abcdef"}


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`, callbacks")
@pytest.mark.parametrize(
    ("resumed", "resumed_data", "message"),
    [
        (lambda: tiny_vqvae(), lambda: sound_data(classes=["cat", "cow"]), r"\['cat', 'dog'\] in it.*\['cat', 'cow'\]"),
        (
            lambda: tiny_vqvae(),
            lambda: sound_data(geometry=sound_data().facts()["geometry"] | {"hop_samples": 63}),
            r"geometry.hop_samples is 64 in it, and 63 here",
        ),
    ],
    ids=["classes", "geometry"],
)
def test_other_facts_are_refused_on_resuming(tmp_path, resumed, resumed_data, message):
    with pytest.raises(ValueError, match=message):
        resume(tmp_path, tiny_vqvae(), sound_data(), resumed(), resumed_data())


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`, callbacks")
def test_codes_of_another_vqvae_are_refused_on_resuming(tmp_path):
    data = code_data()
    with pytest.raises(ValueError, match=f"codebooks is '{data.facts()['codebooks']}' in it, and '0123456789abcdef'"):
        resume(tmp_path, tiny_top(), data, tiny_top(), code_data(**BOOKS))


def test_another_network_is_refused_and_both_values_are_named(tmp_path):
    saved, other = tiny_top(), tiny_top()
    checkpoint = {"state_dict": {}}
    fitted(saved, code_data())
    saved.on_save_checkpoint(checkpoint)
    other.network._init_arguments["width"] = 32
    with pytest.raises(ValueError, match=r"network.width is 16 in it, and 32 here"):
        other.on_load_checkpoint(checkpoint)
    with pytest.raises(
        ValueError,
        match=r"the class of the system is 'lightning_modules.TopPrior' in it, and 'lightning_modules.VQVAE'",
    ):
        tiny_vqvae().on_load_checkpoint(checkpoint)
    with_context = TopPrior(tiny_bottom().network)
    with_context.network._init_arguments |= {"num_rows": 8, "num_columns": 4}
    with pytest.raises(ValueError, match=r"top_context is None in it, and {'class_path': 'networks.TopContext'"):
        with_context.on_load_checkpoint(checkpoint)


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`, callbacks")
def test_dropout_and_the_split_may_change(tmp_path):
    data = code_data()
    resume(tmp_path, tiny_top(dropout=0.1), data, tiny_top(dropout=0.5), code_data(split={}))


def test_a_checkpoint_of_another_project_is_refused_on_resuming():
    with pytest.raises(ValueError, match="not written by this project"):
        tiny_top().on_load_checkpoint({"state_dict": {}})


def test_a_fingerprint_is_stable_and_changes_with_any_value_and_name():
    tensors = {"top": torch.arange(6.0).view(2, 3), "bottom": torch.ones(2)}
    name = fingerprint(tensors)
    assert name == "1a254cc57a27cb80"  # on every machine, in every version
    assert name == fingerprint(dict(reversed(tensors.items())))
    assert name == fingerprint(tensors | {"top": tensors["top"].T.contiguous().T})
    nudged = tensors["top"].clone()
    nudged[1, 2] = torch.nextafter(nudged[1, 2], torch.tensor(9.0))
    changes = ({"top": nudged}, {"bottom": torch.tensor([1.0, -1.0])}, {"middle": torch.ones(1)})
    assert len({name, *(fingerprint(tensors | change) for change in changes)}) == 4


def test_the_codebooks_fingerprint_survives_the_file(tmp_path):
    vqvae = tiny_vqvae()
    fitted(vqvae, sound_data()).save_checkpoint(tmp_path / "vqvae.ckpt")
    assert load(tmp_path / "vqvae.ckpt").codec.fingerprint() == vqvae.codec.fingerprint()
    assert fitted_vqvae(0).codec.fingerprint() != fitted_vqvae(1).codec.fingerprint()


@pytest.mark.parametrize(
    ("stored", "here", "message"),
    [
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, r"x\.a\.b is \[1, 2\] in it, and \[1, 3\] here"),
        ({"a": 1}, {"a": 1, "b": 2}, r"x\.b is None in it, and 2 here"),
        ({"a": 1, "b": 2}, {"a": 1}, r"x\.b is 2 in it, and None here"),
        (1, {"a": 1}, r"x is 1 in it"),
    ],
)
def test_the_first_difference_is_named(stored, here, message):
    with pytest.raises(ValueError, match=message):
        check_equal("x", stored, here)


def test_values_that_leave_the_weights_meaning_alone_may_differ():
    before, after = tiny_top(dropout=0.1).describe(), tiny_top(dropout=0.5, learning_rate=1.0).describe()
    check_equal("", before, after)
    after["init_args"]["network"]["init_args"]["num_codes"] = 17
    with pytest.raises(ValueError, match=r"network\.num_codes is 16 in it, and 17 here"):
        check_equal("", before, after)
