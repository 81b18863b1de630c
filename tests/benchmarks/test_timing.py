from types import SimpleNamespace

from benchmarks import timing
from networks import MomentNetwork


def test_the_command_measures_films_drawn_and_encoded(capsys):
    timing.main(["--first_seed", "102", "--num_films", "1", "--num_encoded", "1"])
    printed = capsys.readouterr().out
    assert "with region" in printed
    assert "without region" in printed
    assert printed.count("H.264") == 2
    assert "shake" in printed
    assert "second thing" not in printed  # this film has none
    assert "Cuts: 0, found 0 of them and 0 that are none." in printed


def test_a_network_of_moments_is_measured_beside_it(capsys, monkeypatch):
    network = MomentNetwork(width=4, hidden=8).eval()
    monkeypatch.setattr(timing, "load", lambda path: SimpleNamespace(network=network))
    timing.main(["--first_seed", "102", "--num_films", "1", "--num_encoded", "0", "--moments", "best.ckpt"])
    assert "with network" in capsys.readouterr().out
