"""The life of a sparse training, in a trainer that is not there."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import winnow as wn
from winnow.errors import UserError
from winnow.integrations.beginning import Beginning
from winnow.integrations.first import LossOf
from winnow.integrations.sparse_training import SparseTraining


def beginning(model: nn.Module, *optimizers, steps: int | None = 20) -> Beginning:
    return Beginning(
        model=model,
        optimizers=optimizers or [torch.optim.SGD(model.parameters(), lr=0.1)],
        loss=lambda: LossOf(model, lambda module, batch: module(batch).square().sum()),
        batches=lambda number, _: [torch.ones(2, 4)] * number,
        steps=steps,
        per_epoch=5,
        unknown="the data has no length",
    )


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))


def test_there_is_no_mask_before_and_the_last_one_after():
    model = network()
    sparse = SparseTraining(criterion="snip", density=0.5)
    assert sparse.mask is None
    sparse._begin(beginning(model))
    assert sparse.mask.density == 0.5
    sparse.close()
    assert sparse.mask.density == 0.5
    sparse.close()


def test_epochs_in_options_and_steps_are_the_trainers():
    sparse = SparseTraining(method="set", density=0.5, every="1ep", steps="3ep")
    sparse._begin(beginning(network(), steps=None))
    carried = sparse._carried()
    assert (carried.planned, carried.per_epoch) == (15, 5)


def test_steps_that_are_not_known_are_asked_for():
    sparse = SparseTraining(method="set", density=0.5)
    with pytest.raises(UserError, match=r"not known: the data has no length. Pass steps="):
        sparse._begin(beginning(network(), steps=None))


@pytest.mark.filterwarnings("ignore::winnow.TiedScores")
def test_two_on_one_optimizer_and_optimizers_of_other_models_are_refused():
    model = network()
    there = beginning(model)
    first, second = (SparseTraining(criterion="snip", density=0.5) for _ in range(2))
    first._begin(there)
    with pytest.raises(UserError, match="two SparseCallbacks"):
        second._begin(there)
    first.close()
    second._begin(there)
    second._begin(there)  # again: of itself it lets go
    stranger = torch.optim.SGD(network().parameters(), lr=0.1)
    for make in (
        SparseTraining(criterion="snip", density=0.5),
        SparseTraining(method="set", density=0.5),
    ):
        with pytest.raises(UserError, match="does not hold the masked"):
            make._begin(beginning(network(), stranger))


def test_weights_that_others_wrote_over_zeros_are_told():
    model = network()
    sparse = SparseTraining(criterion="snip", density=0.5)
    sparse._begin(beginning(model))
    sparse._finish()
    sparse._check_zeros(model)
    with torch.no_grad():
        model[0].weight.fill_(1.0)
    removed = 16 - sparse.mask.kept_per_layer["0.weight"]
    with pytest.warns(UserWarning, match=f"{removed} removed weights were not zero"):
        sparse._check_zeros(model)
    assert int(model[0].weight.count_nonzero()) == 16 - removed


@pytest.mark.parametrize("mark", ["placements", "ds_id"])
def test_shards_are_refused(mark):
    model = network()
    setattr(model[1].weight, mark, 1)
    with pytest.raises(UserError, match=r"'1.weight' is split into shards"):
        SparseTraining(criterion="magnitude", density=0.5)._begin(beginning(model))


def test_a_round_trains_its_own_model():
    """Or a model that contains it, as a trainer's module does."""

    def train(model, attach):
        outer = nn.Sequential(model, nn.Tanh())
        there = beginning(outer)
        sparse = SparseTraining(attach)
        sparse._begin(there)
        there.optimizers[0].step()
        assert set(sparse.mask) == {"0.0.weight", "0.1.weight"}
        sparse._finish()
        sparse._check_zeros(outer)

    assert wn.imp(network, train, rate=0.5, rounds=1).mask.density == 0.5

    def other(_, attach):
        SparseTraining(attach)._begin(beginning(network()))

    with pytest.raises(UserError, match=r"the trainer has another one: '0.weight' is not in it"):
        wn.imp(network, other, rate=0.5, rounds=1)


def test_a_restored_callback_without_a_checkpoint_says_so():
    from winnow.integrations.wanted import again

    sparse = SparseTraining(wn.Mask.dense({"0.weight": torch.ones(4, 4)}))
    sparse._adopt(again(sparse._wanted.told()))
    with pytest.raises(UserError, match="mask is not at hand"):
        sparse._begin(beginning(network()))
