from types import SimpleNamespace

import pytest

from pipelines.compatibility import check_compatibility, find_classes
from tests.helpers.tiny import CLASSES, GEOMETRY, fitted_vqvae

VQVAE = fitted_vqvae()
PATHS = {name: f"{name}.ckpt" for name in ("vqvae", "top", "bottom", "classifier")}


def matching(**changes: dict) -> dict:
    """Four systems that fit, but for the changed facts of some."""
    facts = {"classes": CLASSES, "geometry": GEOMETRY.as_dict(), "codebooks": VQVAE.codec.fingerprint()}
    systems = {name: SimpleNamespace(facts=facts | changes.get(name, {})) for name in ("top", "bottom", "classifier")}
    return systems | {"vqvae": VQVAE}


def test_systems_that_belong_together_fit():
    check_compatibility(matching(), PATHS)
    check_compatibility(matching(classifier={"geometry": None, "codebooks": None}), PATHS)


@pytest.mark.parametrize(
    ("name", "fact", "value"),
    [
        *[(name, "classes", ["cat", "cow"]) for name in ("top", "bottom", "classifier")],
        *[(name, "classes", ["dog", "cat"]) for name in ("top", "classifier")],
        *[(name, "geometry", GEOMETRY.as_dict() | {"hop_samples": 63}) for name in ("top", "bottom")],
        *[(name, "codebooks", "0123456789abcdef") for name in ("top", "bottom")],
        ("top", "codebooks", None),
    ],
)
def test_a_system_that_does_not_fit_is_refused_with_both_values_and_files(name, fact, value):
    with pytest.raises(ValueError, match=f"{fact} is .*vqvae.ckpt, and .*{name}.ckpt.*--config {name}.yaml") as error:
        check_compatibility(matching(**{name: {fact: value}}), PATHS)
    expected = {"classes": CLASSES, "geometry": GEOMETRY.as_dict(), "codebooks": VQVAE.codec.fingerprint()}
    assert str(expected[fact]) in str(error.value)
    assert str(value) in str(error.value)


def test_a_class_is_found_in_any_unicode_form():
    assert find_classes(["me\u0301sange"], ["m\u00e9sange", "cat"]) == ["m\u00e9sange"]
    with pytest.raises(ValueError, match="do not know dog; they know"):
        find_classes(["dog"], ["cat"])
