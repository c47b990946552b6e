"""Where supermasks start: at their probability."""

from __future__ import annotations

import torch
from search_jobs import begun

from winnow.reparametrisation import SCORES


def test_supermasks_start_at_their_probability() -> None:
    job, state = begun("supermask", probability=0.8, rescale=True)
    assert job.search is not None
    assert (job.search.rule, job.search.keep, job.search.rescale) == ("bernoulli", None, True)
    for scores in state.extras[SCORES].values():
        torch.testing.assert_close(torch.sigmoid(scores), torch.full_like(scores, 0.8))
    exact, _ = begun("supermask", density=0.25)
    assert exact.search is not None
    assert exact.search.keep == {"hidden.0.weight": 48, "hidden.1.weight": 24, "output.weight": 20}
