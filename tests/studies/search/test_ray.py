"""A search on Ray: the same trials as with workers of this machine, also when a node dies."""

import signal
import sys

import pytest

ray = pytest.importorskip("ray")

from nas import InputError  # noqa: E402
from nas.workers import ray_cluster as ray_cluster_module  # noqa: E402
from nas.workers.ray_cluster import connected  # noqa: E402
from studies.cli.interrupt import Interrupt  # noqa: E402
from studies.search.machines import Means, find_machine  # noqa: E402
from studies.search.run import Watcher, run_search  # noqa: E402
from tests.studies.searches import request, trials_of  # noqa: E402


@pytest.mark.slow
def test_a_node_that_dies_in_mid_search_takes_no_trial_with_it(
    undisturbed, small_toml, tmp_path, ray_cluster
):
    storage = f"sqlite:///{tmp_path}/nodes.db"

    class Killer(Watcher):
        count = None

        def started(self, settings, store, done, total, workers):
            self.count = workers

        def evaluated(self, event):
            if event.number == 9:
                ray_cluster.remove_node(next(iter(ray_cluster.worker_nodes)), allow_graceful=False)

    killer = Killer()
    run_search(request(small_toml, storage, workers="ray", ray_address=ray_cluster.address), killer)
    assert killer.count == 2  # as many as the cluster has room for
    assert not ray_cluster.worker_nodes
    assert trials_of(storage) == undisturbed


@pytest.mark.slow
def test_a_training_of_ones_own_goes_to_other_nodes(small_toml, tmp_path, ray_cluster):
    file = tmp_path / "mine.py"
    file.write_text(
        "from nas import returns\n\n@returns(cost='min')\ndef train(run):\n"
        "    images, labels = run.tensors(run.part)\n"
        "    cost = run.network.eval()(images).exp().mean().item()\n"
        "    for epoch in range(1, run.epochs + 1):\n        run.report(epoch, cost - epoch)\n"
        "    return cost\n"
    )
    own = {"evaluate": f"{file}:train", "pruner": "halving", "evaluations": 10}
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("here", "nodes")]
    run_search(request(small_toml, urls[0], **own))
    run_search(request(small_toml, urls[1], workers="ray", ray_address=ray_cluster.address, **own))
    assert trials_of(urls[1]) == trials_of(urls[0])
    assert "PRUNED" in {state for _, _, state, *_ in trials_of(urls[0])}


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"workers": "ray", "ray_address": "127.0.0.1:1"}, "no Ray cluster at 127.0.0.1:1"),
        ({"workers": "ray:20"}, "--workers ray:20 is more than --lag 8"),
        ({"workers": "ray:0"}, "--workers ray:0: it must be at least 1"),
        ({"workers": "roy"}, "--workers roy: a number, ray, or ray:N"),
        ({"workers": 2, "ray_address": "auto"}, "--ray-address auto: it goes with --workers ray"),
        ({"workers": "ray", "ray_cpus": 0.0}, "--ray-cpus 0: it must be above 0"),
        ({"workers": "ray", "ray_gpus": 1.5}, "--ray-gpus 1.5: a fraction of one GPU"),
    ],
)
def test_what_cannot_be_is_one_line_and_makes_no_study(small_toml, tmp_path, more, line):
    with pytest.raises(InputError, match=line):
        run_search(request(small_toml, f"sqlite:///{tmp_path}/no.db", **more))
    assert not (tmp_path / "no.db").exists()


@pytest.mark.parametrize(
    ("device", "asked", "name", "gpus"),
    [
        ("auto", None, "cuda:0", 1.0), ("auto", 0.5, "cuda:0", 0.5), ("auto", 0.0, "cpu", 0.0),
        ("cuda", 0.0, "cpu", 0.0), ("cpu", None, "cpu", 0.0),
    ],
)  # fmt: skip
def test_which_node_is_asked_for_its_kind(monkeypatch, device, asked, name, gpus):
    monkeypatch.setattr(ray_cluster_module, "room", lambda cpus=1.0, gpus=0.0: 4)
    monkeypatch.setattr(
        ray_cluster_module, "ask_node", lambda ask, name, *of, cpus, gpus: (name, gpus)
    )
    means = Means(workers="ray", device=device, ray_gpus=asked)
    assert find_machine(means)(None, ()) == (name, gpus)


@pytest.mark.slow
def test_ray_leaves_sigterm_to_the_search():
    with Interrupt("said") as stop, connected(cpus=1):
        signal.raise_signal(signal.SIGTERM)
        assert stop()


def test_without_ray_the_extra_is_named(small_toml, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r'pip install "skipnas\[ray\]"'):
        run_search(request(small_toml, f"sqlite:///{tmp_path}/no.db", workers="ray"))
