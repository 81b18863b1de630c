"""Two processes with half a batch each must hold the codebook that one process with the whole batch holds."""

import pytest
import torch
from torch import distributed, multiprocessing

from networks.codec.quantizer import EMAQuantizer

NUM_CODES, DIM, NUM_BATCHES = 8, 4, 5


def batches():
    return torch.randn(NUM_BATCHES, 4, DIM, 5, 3, generator=torch.Generator().manual_seed(0))


def state_from_codebook(share):
    """The state after some batches, of which `share` is seen, from a codebook that needs no k-means start."""
    torch.manual_seed(0)
    quantizer = EMAQuantizer(NUM_CODES, DIM, revive_below=0)
    quantizer.num_updates += 1
    for vectors in batches():
        quantizer(vectors[share])
    return quantizer.state_dict()


def state_from_k_means(share, rank):
    """The same, where each process begins with a codebook of its own, k-means starts it and many codes are revived."""
    torch.manual_seed(rank)
    quantizer = EMAQuantizer(NUM_CODES, DIM, decay=0.5, revive_below=7.0)
    for vectors in batches():
        quantizer(vectors[share])
    return quantizer.state_dict()


def run_process(rank, folder):
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    share = slice(2 * rank, 2 * rank + 2)
    states = {"from_codebook": state_from_codebook(share), "from_k_means": state_from_k_means(share, rank)}
    torch.save(states, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def states_by_rank(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLOO_SOCKET_IFNAME", "lo")
        multiprocessing.set_forkserver_preload(["pytest", __name__])  # imported once, not once for each process
        multiprocessing.start_processes(run_process, args=(folder,), nprocs=2, start_method="forkserver")
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def test_two_halves_equal_one_whole(states_by_rank):
    expected = state_from_codebook(slice(None))
    for states in states_by_rank:
        for name, value in expected.items():
            torch.testing.assert_close(states["from_codebook"][name], value, msg=name)


@pytest.mark.parametrize("run", ["from_codebook", "from_k_means"])
def test_all_processes_hold_the_same_codebook(states_by_rank, run):
    first, second = (states[run] for states in states_by_rank)
    for name in first:
        assert torch.equal(first[name], second[name]), name


def test_k_means_and_revival_took_place(states_by_rank):
    state = states_by_rank[0]["from_k_means"]
    assert state["num_updates"] == NUM_BATCHES
    assert (state["cluster_size"] == 1).any()  # what a code is given when it is revived
