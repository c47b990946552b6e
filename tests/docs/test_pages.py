"""The how-to pages, done as they stand; and what their examples compute, against something else."""

from __future__ import annotations

import pytest
import torch
from image_folders import png, random_pixels, write_parquet
from page import checkout, do


@pytest.fixture
def folder(tmp_path, monkeypatch, tmp_path_factory):
    """A checkout to follow a page in."""
    monkeypatch.setenv("WINNOW_CACHE", str(tmp_path_factory.getbasetemp() / "pages"))
    with checkout(tmp_path):
        yield tmp_path


def test_add_a_dynamic_method(folder):
    done = do("add-a-dynamic-method", folder)
    first, last = done["first"], done["sparse"].mask
    assert last.kept_per_layer == first.kept_per_layer
    assert last != first

    from winnow.algorithms.dynamic import make_dynamic
    from winnow.algorithms.dynamic.method import Memory, Moment
    from winnow.algorithms.dynamic.timing import Timing

    weights = torch.tensor([5.0, -1, 2, -3, 1, 4, -2, 3, -4, -5])
    keep = torch.ones(14, dtype=torch.bool)
    keep[10:] = False
    at = Moment(50, Timing(0, 99, 9, 99), {"a": keep}, Memory(), 0, 0.1, lambda: {"a": weights},
                dict, dict, lambda _: None)  # fmt: skip
    change = make_dynamic("signed-set", 0.5, drop=0.4).update(at)
    dropped = {-1.0, -2.0, 1.0, 2.0}  # 2 of 5 positive ones and 2 of 5 negative ones
    stays = torch.tensor([w not in dropped for w in weights.tolist()])
    assert bool(change.mask["a"][:10][stays].all())
    assert int(change.mask["a"].sum()) == 10


def test_add_a_search(folder):
    done = do("add-a-search", folder)
    assert done["mask"].kept_per_layer == {"0.weight": 1280, "2.weight": 200}

    from winnow.algorithms.search import make_search
    from winnow.algorithms.search.method import SearchStart

    weights = {name: layer for name, layer in done["model"].named_parameters() if layer.dim() > 1}
    start = SearchStart({name: w.detach() for name, w in weights.items()}, 0, dict)
    method = make_search("hydra", 0.2)
    search = method.search(start)
    scores = method.scores(start, search)
    prune = done["wn"].prune
    magnitudes = {name: weight.abs() for name, weight in start.weights.items()}
    best = prune({name: score.abs() for name, score in scores.items()}, density=0.2, scope="layer")
    assert best == prune(magnitudes, density=0.2, scope="layer")
    assert search.keep == best.kept_per_layer
    for name, fan_in in (("0.weight", 64), ("2.weight", 100)):
        assert float(scores[name].abs().max()) == pytest.approx((6 / fan_in) ** 0.5)


def test_add_a_network(folder):
    """LeCun et al. 1998 print the trainable parameters of the layers C1, C5 and F6."""
    do("add-a-network", folder)

    from winnow.models import build

    printed = {"convs.0": 156, "hidden.0": 48_120, "hidden.1": 10_164}
    for inputs in ((1, 28, 28), (1, 32, 32), (1, 8, 8)):
        network = build("lenet-5", inputs=inputs, classes=10)
        sizes = {name: sum(p.numel() for p in network.get_submodule(name).parameters())
                 for name in printed}  # fmt: skip
        assert sizes == printed
        assert network(torch.rand(3, *inputs)).shape == (3, 10)
    assert build("lenet-5", inputs=(3, 32, 32), classes=10)(torch.rand(2, 3, 32, 32)).dim() == 2
    with pytest.raises(ValueError, match="even sides of at most 32 pixels, and the images are 33x"):
        build("lenet-5", inputs=(1, 33, 32), classes=10)
    with pytest.raises(ValueError, match=r"does not take the option width .* takes none"):
        build("lenet-5", inputs=(1, 32, 32), classes=10, width=2)


def test_add_a_dataset(folder, monkeypatch):
    data = folder / "data"
    monkeypatch.setenv("WINNOW_DATA", str(data))
    written = {}
    for seed, (split, count) in enumerate((("train", 400), ("test", 80))):
        pixels = random_pixels(seed, count, (1, 16, 16))
        labels = [k % 10 for k in range(count)]
        file = data / "usps" / "data" / f"{split}-00000-of-00001.parquet"
        write_parquet(file, [png(image) for image in pixels], labels)
        written[split] = pixels
    done = do("add-a-dataset", folder)
    images = done["images"]
    assert images.train_x.squeeze(1).numpy().tolist() == written["train"].tolist()
    assert images.test_x.shape == (80, 1, 16, 16)
    assert done["mean"] == pytest.approx(written["train"].mean())
    assert images.mean == (255 * 0.2469,)
    assert done["x"].shape == (2, 3, 64, 64)


def test_add_an_engine(folder):
    """It is held against the float64 reference of all engines, and opened anew at each change."""
    do("add-an-engine", folder)

    import conformance
    import test_conformance as suite
    import test_remasking as remasking

    from winnow.engine import make_engine

    engine = make_engine("plain")
    for optimizer in conformance.OPTIMIZERS:
        suite.test_trajectory_is_the_reference(engine, optimizer, 0.5)
        suite.test_removed_weights_and_their_slots_stay_exactly_zero(engine, optimizer)
        remasking.test_remasking_is_opening_the_changed_state(engine, optimizer)
    suite.test_a_resumed_run_is_bit_identical(engine, "conv-2", (3, 8, 8), {"dropout": 0.5}, 5)
    suite.test_a_clipped_gradient_is_masked_first(engine)
    suite.test_divergence_is_told_before_the_step(engine)
    remasking.test_the_gradient_is_dense_and_of_the_next_batch(engine)
    remasking.test_perturbing_moves_kept_weights_only(engine)
    remasking.test_skipping_leaves_a_batch_out(engine)
    remasking.test_looking_is_the_state(engine)
