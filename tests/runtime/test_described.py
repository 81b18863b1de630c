import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from media import Geometry
from networks import Described, ResNet50, build
from tests.helpers.tiny_networks import tiny_prior, tiny_top_context, tiny_vqvae


@dataclass(frozen=True)
class Folder:
    path: object


class Holder(Described):
    def __init__(self, value, *, scale=2):
        self.value, self.scale = value, scale


class ScaledHolder(Holder):
    def __init__(self, factor):
        super().__init__(value=[factor], scale=3 * factor)


class UnchangedHolder(Holder):
    pass


NETWORKS = {
    "VQVAE2": lambda: tiny_vqvae(bottom_stride=2, top_stride=8, revive_below=0),
    "CodePrior": lambda: tiny_prior(dropout=0.0),
    "CodePrior with context": lambda: tiny_prior(top_context=tiny_top_context(rank=5)),
    "ResNet50": lambda: ResNet50(num_classes=5),
}


@pytest.fixture(params=NETWORKS)
def network(request):
    with torch.device("meta"):
        return NETWORKS[request.param]()


def shapes(network):
    return {name: value.shape for name, value in network.state_dict().items()}


def built_on_meta(description):
    with torch.device("meta"):
        return build(description)


def test_a_network_is_built_again_from_its_description(network):
    again = built_on_meta(network.describe())
    assert type(again) is type(network)
    assert shapes(again) == shapes(network)
    assert again.describe() == network.describe()


def test_a_description_is_json(network):
    read = json.loads(json.dumps(network.describe()))
    assert read == network.describe()
    assert shapes(built_on_meta(read)) == shapes(network)


def test_a_description_is_safe_to_load(network, tmp_path):
    torch.save({"network": network.describe()}, tmp_path / "checkpoint.pt")
    read = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert read["network"] == network.describe()


def test_an_exported_class_is_named_by_its_package():
    description = tiny_prior(top_context=tiny_top_context()).describe()
    assert description["class_path"] == "networks.CodePrior"
    assert description["init_args"]["top_context"]["class_path"] == "networks.TopContext"


def test_defaults_are_written_down_too():
    assert tiny_vqvae().describe()["init_args"]["decay"] == 0.99


def test_weights_of_a_described_network_fit_the_one_that_is_built():
    prior = tiny_prior(top_context=tiny_top_context())
    again = build(prior.describe()).eval()
    again.load_state_dict(prior.state_dict())
    inputs = torch.arange(8)[None], torch.tensor([1]), torch.arange(2)[None]
    with torch.no_grad():
        assert torch.equal(again(*inputs), prior(*inputs))


@pytest.mark.parametrize("value", [None, True, 3, 0.5, "text", [1, [2, 3]], {"a": [1]}, Geometry(hop_samples=80)])
def test_plain_data_and_dataclasses_come_back(value):
    again = build(json.loads(json.dumps(Holder(value, scale=5).describe())))
    assert (again.value, again.scale) == (value, 5)


def test_described_objects_come_back_in_lists():
    again = build(Holder([Holder(1), Holder(2)]).describe())
    assert [item.value for item in again.value] == [1, 2]


def test_the_outermost_constructor_is_described():
    description = ScaledHolder(4).describe()
    assert description["class_path"].endswith("ScaledHolder")
    assert description["init_args"] == {"factor": 4}
    assert build(description).scale == 12


def test_a_class_without_a_constructor_of_its_own_is_described():
    again = build(UnchangedHolder(1).describe())
    assert type(again) is UnchangedHolder
    assert again.value == 1


def test_a_number_of_numpy_that_passes_for_a_float_becomes_one():
    """`np.float64` is a subclass of float, yet `torch.load(weights_only=True)` refuses it."""
    assert type(Holder(np.float64(0.5)).describe()["init_args"]["value"]) is float


@pytest.mark.parametrize(
    "value", [Path("a"), torch.zeros(1), {1, 2}, np.int64(3), nn.Linear(1, 1), Folder(Path("a"))], ids=repr
)
def test_other_than_plain_data_is_refused(value):
    with pytest.raises(TypeError, match=r"argument value of Holder: found a \w+, expected plain data"):
        Holder(value).describe()


@pytest.mark.parametrize("class_path", ["subprocess.Popen", "torch.nn.Linear", "builtins.eval", "networks.build"])
def test_a_file_cannot_name_just_any_class(class_path):
    with pytest.raises(ValueError, match=f"'{class_path}', named in the checkpoint, is no network of this project"):
        build({"class_path": class_path, "init_args": {}})


@pytest.mark.parametrize("class_path", ["networks.Missing", "missing.Network", "Network", ""])
def test_a_class_that_is_not_there_is_named(class_path):
    with pytest.raises(ValueError, match=f"'{class_path}' named in the checkpoint cannot be found"):
        build({"class_path": class_path, "init_args": {}})
