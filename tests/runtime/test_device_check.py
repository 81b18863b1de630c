import pytest
import torch

from runtime.device_check import check_card, check_kernels

WHEEL = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]


@pytest.mark.parametrize(
    ("capability", "arch_list"),
    [
        ((7, 5), WHEEL),
        ((8, 9), WHEEL),  # the same major, a higher minor
        ((12, 0), WHEEL),
        ((9, 0), ["sm_90a"]),
        ((10, 3), ["sm_100f"]),
        ((12, 0), ["sm_80", "compute_80"]),  # translated when it is first used
        ((9, 0), ["gfx90a", "gfx942"]),  # not NVIDIA's
        ((6, 0), []),
    ],
)
def test_a_card_that_there_is_code_for_passes(capability, arch_list):
    check_kernels("some card", capability, arch_list)


@pytest.mark.parametrize(
    ("capability", "arch_list"),
    [
        ((6, 0), WHEEL),
        ((8, 0), ["sm_75", "sm_86"]),  # a lower minor
        ((11, 0), WHEEL),
        ((9, 1), ["sm_90a", "compute_90a"]),
        ((7, 0), ["compute_75"]),
    ],
)
def test_a_card_that_there_is_no_code_for_is_refused(capability, arch_list):
    with pytest.raises(ValueError, match=f"some card.*sm_{capability[0]}{capability[1]}.*{arch_list[0]}"):
        check_kernels("some card", capability, arch_list)


def test_the_line_names_the_remedy():
    old = (
        r"Tesla P100.*sm_60.*sm_75, sm_80.*'T4 x2'.*CUDA 12.6 \(torch 2.14 at most\).*still has sm_60.*accelerator cpu"
    )
    with pytest.raises(ValueError, match=old) as error:
        check_kernels("Tesla P100-PCIE-16GB", (6, 0), WHEEL)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="Install a newer torch"):
        check_kernels("new card", (13, 0), WHEEL)
    with pytest.raises(ValueError, match="Choose another card") as error:
        check_kernels("Tesla K80", (3, 7), WHEEL)
    assert "12.6" not in str(error.value)


def pretend_p100(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *device: "Tesla P100")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (6, 0))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: WHEEL)


def test_only_a_card_that_will_be_used_is_checked(monkeypatch):
    pretend_p100(monkeypatch)
    check_card("cpu")
    with pytest.raises(ValueError, match="Tesla P100 cannot be used"):
        check_card("auto")


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is one here")
@pytest.mark.parametrize("accelerator", ["gpu", "cuda", "mps"])
def test_a_missing_card_is_reported(accelerator):
    with pytest.raises(ValueError, match=f"accelerator {accelerator} was asked for.*Leave it out"):
        check_card(accelerator)
