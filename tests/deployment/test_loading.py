"""From a module to its file and back."""

from __future__ import annotations

import pickle

import pytest
import torch
from network_files import changed, node, put
from runtime.networks import check_equal, given_to, ready, sparse_module
from torch import nn

from winnow.deployment.loading import FILE_NAME, load_deployed
from winnow.deployment.runtime import module as modules
from winnow.deployment.runtime.choose import measured_on
from winnow.deployment.runtime.module import SparseModule
from winnow.errors import UserError
from winnow.files import write_whole


@pytest.fixture(scope="module")
def made():
    """A model, and a module whose ways were measured."""
    torch.manual_seed(0)
    model = ready(nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)))
    module = sparse_module(model, [(5,)], "measured")
    return model, SparseModule(
        module.sparse, choices=list(module.choices.values()), about={"title": "a test"}
    )


@pytest.fixture
def no_measuring(monkeypatch):
    def fail(*_):
        raise AssertionError("it was measured again")

    monkeypatch.setattr(modules, "chosen", fail)


@pytest.fixture
def no_pickle(monkeypatch):
    def fail(*_, **__):
        raise AssertionError("something was unpickled")

    for owner, name in (
        (pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load"),
        (torch.serialization, "load"),
    ):  # fmt: skip
        monkeypatch.setattr(owner, name, fail)


@pytest.mark.usefixtures("no_measuring", "no_pickle")
def test_there_and_back(made, tmp_path):
    model, module = made
    write_whole(tmp_path / FILE_NAME, module.to_bytes())
    for path in (tmp_path, tmp_path / FILE_NAME, str(tmp_path)):
        again = load_deployed(path)
        assert again.choices == module.choices
        assert again.about == {"title": "a test"}
        assert again.to_bytes() == module.to_bytes()
    for count in (0, 1, 5, 70):
        (x,) = given_to([(5,)], count)
        assert torch.equal(again(x), module(x))
        check_equal(again(x), model(x))
    for run in ("kernels", "torch"):
        plain = load_deployed(tmp_path, run=run)
        assert plain.choices == {}
        check_equal(plain(x), model(x))


def test_measured_again_elsewhere(made, tmp_path, monkeypatch):
    _, module = made
    monkeypatch.setattr(modules, "measured_on", lambda: {**measured_on(), "threads": 99})
    write_whole(tmp_path / FILE_NAME, module.to_bytes())
    monkeypatch.undo()
    asked, own = [], modules.chosen

    def counted(sparse, known, batch):
        asked.append(batch)
        return own(sparse, known, batch)

    monkeypatch.setattr(modules, "chosen", counted)
    again = load_deployed(tmp_path)
    assert asked == [1, 16, 64]
    assert set(again.choices) == {1, 16, 64}


@pytest.mark.parametrize(
    "choices",
    [
        [{"batch": 1, "way": "kernels", "seconds": {"kernels": 1.0}, "layers": [], "lanes": []}],
        [{"batch": 1}], None,
    ],
)  # fmt: skip
def test_choices_that_do_not_fit_are_made_again(tmp_path, choices):
    about = {"machine": measured_on(), "choices": choices, "title": "other"}
    write_whole(tmp_path / FILE_NAME, changed(put("about", about)))
    again = load_deployed(tmp_path)
    assert set(again.choices) == {1, 16, 64}
    assert again.about == {"title": "other"}
    assert again(torch.ones(2, 4)).shape == (2, 2)


def test_a_module_is_saved_and_pickled_as_its_file(made, tmp_path):
    _, module = made
    module.save(tmp_path / "new" / "a.safetensors")
    assert (tmp_path / "new" / "a.safetensors").read_bytes() == module.to_bytes()
    again = pickle.loads(pickle.dumps(module))
    assert again.choices == module.choices
    (x,) = given_to([(5,)], 4)
    assert torch.equal(again(x), module(x))


def test_there_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_deployed(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        load_deployed(tmp_path)


def test_what_is_no_such_file(tmp_path):
    for name, data in (("a", b""), ("b", b"x" * 100), ("c", pickle.dumps({"a": 1}))):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(UserError, match=str(path)):
            load_deployed(path)


def test_an_unknown_way(made, tmp_path):
    write_whole(tmp_path / FILE_NAME, made[1].to_bytes())
    with pytest.raises(UserError, match="run"):
        load_deployed(tmp_path, run="fast")


def call(target, *args, **kwargs):
    """An edit: the graph returns what a function gives."""

    def edit(described):
        graph = described["graph"]
        graph.insert(-1, node("made", "call_function", target, args, **kwargs))
        graph[-1]["args"] = [[{"node": "made"}]]

    return edit


X = {"node": "input"}


@pytest.mark.parametrize("run", ["kernels", "torch"])
@pytest.mark.parametrize(
    "edit",
    [
        call("aten.relu.default"),
        call("aten.relu.default", X, X),
        call("aten.relu.default", 5),
        call("aten.relu.default", "text"),
        call("aten.relu.default", more=X),
        call("aten.linear.default", X, X),
        call("aten.reshape.default", X, [7, 7]),
        call("aten.conv2d.default", X, X),
        call("aten.add.Tensor", X),
        call("operator.getitem", X, 99),
        call("operator.add", X, "text"),
        call("aten.einsum.default", "no equation", [X]),
        put("layers", 0, "rank", 4),
    ],
)
def test_graphs_that_do_not_run(tmp_path, edit, run):
    path = tmp_path / FILE_NAME
    path.write_bytes(changed(edit))
    with pytest.raises(UserError, match=str(path)):
        load_deployed(path, run=run)
