import urllib.error

import pytest
import torch
import torchvision
from torchvision.transforms.v2 import functional as transforms

from networks import ResNet50

WEIGHTS = torchvision.models.ResNet50_Weights


def imagenet_state(num_classes=1000):
    """A state dict of torchvision's network with 1000 classes: the first tensor holds 0, the next 1, …; no memory."""
    with torch.device("meta"):
        shapes = torchvision.models.resnet50(num_classes=num_classes).state_dict()
    return {
        name: torch.full((), number, dtype=value.dtype).expand(value.shape)
        for number, (name, value) in enumerate(shapes.items())
    }


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return ResNet50(num_classes=3).eval()


@pytest.fixture
def initial_state(network):
    """Gives the shared network its random weights back after the test."""
    state = {name: value.clone() for name, value in network.state_dict().items()}
    yield state
    network.load_state_dict(state)


def assert_body_replaced_and_head_kept(network, initial_state):
    for name, value in imagenet_state().items():
        found = network.resnet.state_dict()[name]
        expected = initial_state[f"resnet.{name}"] if name.startswith("fc.") else value
        assert torch.equal(found, expected), name


@torch.no_grad()
def test_pictures_are_normalised_as_imagenet_was(network):
    images = torch.rand(2, 3, 64, 48)
    normalised = transforms.normalize(images, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    torch.testing.assert_close(network(images), network.resnet(normalised))
    assert network(images).shape == (2, 3)


@torch.no_grad()
def test_places_add_up_to_the_logits(network):
    torch.manual_seed(0)
    images = torch.rand(2, 3, 192, 64)
    logits, places, _ = network.locate(images)
    assert places.shape == (2, 3, 6, 2)
    torch.testing.assert_close(logits, network(images), atol=1e-4, rtol=1e-4)
    bias = network.resnet.fc.bias
    torch.testing.assert_close(places.mean(dim=(2, 3)) + bias, logits)
    images[:, :, :32] = 0
    changed = (network.locate(images).maps - places).abs().mean(dim=(0, 1, 3))
    assert changed[0] > 3 * changed[-1]


def test_only_weights_of_torchvision_are_stored(network):
    assert all(name.startswith("resnet.") for name in network.state_dict())


def test_the_head_is_what_depends_on_the_classes(network):
    assert sum(parameter.numel() for parameter in network.head_parameters()) == 3 * 2048 + 3


def test_building_it_loads_nothing(monkeypatch):
    monkeypatch.setattr(WEIGHTS, "get_state_dict", lambda *args, **kwargs: pytest.fail("must not download"))
    with torch.device("meta"):
        ResNet50(2)


def test_a_local_file_replaces_the_body(network, initial_state, tmp_path):
    torch.save(imagenet_state(), tmp_path / "resnet50.pth")
    network.load_pretrained(str(tmp_path / "resnet50.pth"))
    assert_body_replaced_and_head_kept(network, initial_state)


def test_a_head_of_the_same_size_is_not_taken_over(network, initial_state, tmp_path):
    torch.save(imagenet_state(num_classes=3), tmp_path / "resnet50.pth")
    network.load_pretrained(str(tmp_path / "resnet50.pth"))
    assert torch.equal(network.resnet.fc.weight, initial_state["resnet.fc.weight"])


def test_an_old_file_without_batch_counts_is_taken(network, initial_state, tmp_path):
    """`resnet50-19c8e357.pth`, which many machines have lying about, is older than these counts."""
    state = {name: value for name, value in imagenet_state().items() if not name.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "resnet50.pth")
    network.load_pretrained(str(tmp_path / "resnet50.pth"))
    assert torch.equal(network.resnet.conv1.weight, state["conv1.weight"])


def test_a_name_is_downloaded(network, initial_state, monkeypatch):
    monkeypatch.setattr(WEIGHTS, "get_state_dict", lambda *args, **kwargs: imagenet_state())
    network.load_pretrained("IMAGENET1K_V2")
    assert_body_replaced_and_head_kept(network, initial_state)


@pytest.mark.parametrize(
    "error",
    [urllib.error.URLError("no network"), TimeoutError("too slow"), RuntimeError("invalid hash value")],
    ids=repr,
)
def test_a_failed_download_says_what_to_do(network, monkeypatch, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(WEIGHTS, "get_state_dict", fail)
    url = WEIGHTS.IMAGENET1K_V2.url
    with pytest.raises(FileNotFoundError) as raised:
        network.load_pretrained("IMAGENET1K_V2")
    message = str(raised.value)
    assert url in message
    assert f"--model.weights path/to/{url.rpartition('/')[2]}" in message
    assert "--model.weights null" in message


@pytest.mark.parametrize("weights", ["IMAGENET1K_V3", "missing/resnet50.pth"])
def test_neither_a_name_nor_a_file(network, weights):
    with pytest.raises(FileNotFoundError, match=f"{weights}.*IMAGENET1K_V1, IMAGENET1K_V2.*file that exists"):
        network.load_pretrained(weights)


def not_weights():
    return {"state_dict": {}, "epoch": 3}


def other_network():
    with torch.device("meta"):
        shapes = torchvision.models.resnet18().state_dict()
    return {name: torch.zeros((), dtype=value.dtype).expand(value.shape) for name, value in shapes.items()}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (not_weights, "holds no state dict"),
        (other_network, "no weights of a ResNet-50"),
        (dict, "no weights of a ResNet-50"),
    ],
)
def test_a_file_of_something_else_is_refused_and_changes_nothing(network, initial_state, tmp_path, content, message):
    torch.save(content(), tmp_path / "other.pth")
    with pytest.raises(ValueError, match=rf"other\.pth.*{message}"):
        network.load_pretrained(str(tmp_path / "other.pth"))
    for name, value in network.state_dict().items():
        assert torch.equal(value, initial_state[name]), name


def test_a_broken_file_is_named(network, tmp_path):
    (tmp_path / "broken.pth").write_bytes(b"half a download")
    with pytest.raises(ValueError, match=r"broken\.pth cannot be read"):
        network.load_pretrained(str(tmp_path / "broken.pth"))
