"""ONNX files: the same numbers by onnxruntime, whole or not at all, and int8."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from winnow.deployment.capture import capture
from winnow.deployment.onnx import ZEROS, export_onnx, output_names
from winnow.deployment.onnx_session import OnnxSession
from winnow.deployment.simplify import simplified
from winnow.errors import UserError
from winnow.models import build

onnx = pytest.importorskip("onnx", reason="needs winnow[onnx]")
pytest.importorskip("onnxscript", reason="needs winnow[onnx]")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs winnow[onnx]")


def resnet() -> nn.Module:
    torch.manual_seed(0)
    model = build("resnet-20", inputs=(3, 16, 16), classes=10, width=0.5)
    for module in model.modules():  # statistics of training, else norms divide by 1
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
    return model.eval()


def lenet() -> nn.Module:
    torch.manual_seed(0)
    return build("lenet-300-100", inputs=(1, 8, 8), classes=10, hidden=(64, 32)).eval()


class Attention(nn.Module):
    """Two outputs that are one tensor, an input that is one, a constant, and nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 16)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.head = nn.Linear(16, 50)
        self.register_buffer("scale", torch.arange(16.0))

    def forward(self, ids: torch.Tensor, scale: torch.Tensor) -> dict:
        """(B, T), (B, 16): names that the buffers have, too."""
        hidden = self.embedding(ids)
        hidden = hidden + self.attention(hidden, hidden, hidden, need_weights=False)[0]
        logits = self.head(hidden * scale[:, None] + self.scale)
        return {"logits": logits, "again": [logits, ids], "scale": self.scale, "loss": None}


def attended(batch: int, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randint(0, 50, (batch, tokens)), torch.rand(batch, 16)


def largest(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max())


@pytest.mark.parametrize("simple", [False, True])
def test_a_file_gives_the_networks_numbers_at_any_batch(tmp_path, simple):
    model, x = resnet(), torch.rand(2, 3, 16, 16)
    network = capture(model, x)
    network = simplified(network) if simple else network
    path = tmp_path / "deep" / "model.onnx"
    done = export_onnx(network, path, [x])
    assert (done.path, done.size, done.int8, done.agreement) == (path, path.stat().st_size, None, 1)
    assert (done.inputs, done.outputs) == (("x",), ("output",))
    assert done.difference < 1e-5
    assert [p.name for p in path.parent.iterdir()] == ["model.onnx"]
    session = OnnxSession(path)
    for batch in (1, 2, 9):
        given = torch.randn(batch, 3, 16, 16)
        with torch.no_grad():
            assert largest(session(given)[0], model(given)) < 1e-5


def test_names_sizes_and_outputs_that_are_inputs_or_constants(tmp_path):
    torch.manual_seed(0)
    model, example = Attention().eval(), attended(2, 5)
    done = export_onnx(capture(model, example), tmp_path / "model.onnx", example)
    assert done.inputs == ("ids", "scale")
    assert done.outputs == ("logits", "again_0", "again_1", "scale_out")
    held = onnx.load(tmp_path / "model.onnx").graph
    sizes = [[s.dim_param or s.dim_value for s in i.type.tensor_type.shape.dim] for i in held.input]
    assert sizes == [["batch", "tokens"], ["batch", 16]]
    sizes = [s.dim_param or s.dim_value for s in held.output[0].type.tensor_type.shape.dim]
    assert sizes == ["batch", "tokens", 50]
    session = OnnxSession(tmp_path / "model.onnx")
    for batch, tokens in ((1, 1), (3, 7)):
        given = attended(batch, tokens)
        with torch.no_grad():
            wanted = model(*given)
        logits, again, ids, scale = session(*given)
        assert largest(logits, wanted["logits"]) < 1e-4
        assert torch.equal(again, logits)
        assert torch.equal(ids, given[0])
        assert torch.equal(scale, model.scale)


def test_a_file_says_nothing_of_this_machine_and_of_the_example(tmp_path):
    model, secret = lenet(), torch.full((2, 1, 8, 8), 123.25)
    export_onnx(capture(model, secret), tmp_path / "a.onnx", [secret])
    data = (tmp_path / "a.onnx").read_bytes()
    assert b"stack_trace" not in data
    assert b".py" not in data
    assert secret.numpy().tobytes()[:64] not in data
    weights = sum(4 * p.numel() for p in model.parameters())
    assert weights < len(data) < weights + 3000
    export_onnx(capture(model, secret), tmp_path / "b.onnx", [secret])
    assert (tmp_path / "b.onnx").read_bytes() == data


def test_a_session_has_one_thread(tmp_path):
    export_onnx(
        capture(lenet(), torch.rand(2, 1, 8, 8)), tmp_path / "m.onnx", [torch.rand(2, 1, 8, 8)]
    )
    options = OnnxSession(tmp_path / "m.onnx")._session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)


def test_prepared_inputs_give_the_same(tmp_path):
    x = torch.rand(2, 1, 8, 8)
    export_onnx(capture(lenet(), x), tmp_path / "m.onnx", [x])
    session = OnnxSession(tmp_path / "m.onnx")
    assert torch.equal(torch.from_numpy(session.prepared([x])()[0]), session(x)[0])


def test_nothing_appears_where_onnxruntime_computes_something_else(tmp_path, monkeypatch):
    x = torch.rand(2, 1, 8, 8)
    network = capture(lenet(), x)
    (tmp_path / "m.onnx").write_text("what was there")
    monkeypatch.setattr(
        OnnxSession, "__call__", lambda _, given: [network.runnable()(given)[0] + 1]
    )
    with pytest.raises(UserError, match=r"onnxruntime computes something else .* differs by 1"):
        export_onnx(network, tmp_path / "m.onnx", [x])
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]
    assert (tmp_path / "m.onnx").read_text() == "what was there"


class Roots(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.eigvals(x).real


def test_an_operation_that_onnx_has_not_is_named(tmp_path):
    x = torch.rand(2, 3, 3)
    with pytest.raises(UserError, match=r"torch\.onnx cannot write this network .*eig.*--format"):
        export_onnx(capture(Roots(), x), tmp_path / "m.onnx", [x])


def test_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "m.onnx").write_text("no model")
    with pytest.raises(UserError, match=r"onnxruntime cannot load .*m\.onnx"):
        OnnxSession(tmp_path / "m.onnx")


@pytest.mark.parametrize("missing", ["onnx", "onnxscript", "onnxruntime"])
def test_what_is_not_installed_is_named(tmp_path, missing, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    x = torch.rand(2, 1, 8, 8)
    with pytest.raises(UserError, match=rf"{missing}.*pip install 'winnow\[onnx\]'"):
        export_onnx(capture(lenet(), x), tmp_path / "m.onnx", [x])


def test_importing_asks_for_no_onnx():
    code = (
        "import sys, winnow.deployment.onnx, winnow.deployment.onnx_session;"
        "print({'onnx', 'onnxruntime', 'onnxscript'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_notes_say_that_zeros_bring_no_speed(tmp_path):
    x = torch.rand(2, 1, 8, 8)
    done = export_onnx(capture(lenet(), x), tmp_path / "m.onnx", [x])
    assert done.notes() == [ZEROS]
    assert "no speed from zeros" in ZEROS


def test_int8_of_matrix_products_needs_no_data(tmp_path):
    model, x = lenet(), torch.rand(60, 1, 8, 8)  # at once: dynamic scales are of a batch
    network = capture(model, x[:2])
    full = export_onnx(network, tmp_path / "fp32.onnx", [x])
    done = export_onnx(network, tmp_path / "int8.onnx", [x], int8=True)
    assert done.int8 is not None
    assert (done.int8.static, done.int8.layers, done.int8.of) == (False, 3, 3)
    assert done.size < 0.45 * full.size
    with torch.no_grad():
        wanted, found = model(x), OnnxSession(tmp_path / "int8.onnx")(x)[0]
    assert done.difference == pytest.approx(largest(wanted, found), rel=1e-4)
    assert 0 < done.difference < 0.1
    agreement = (wanted.argmax(1) == found.argmax(1)).double().mean()
    assert done.agreement == agreement > 0.9
    assert done.examples == 60
    assert "int8 (dynamic) in 3 of 3 layers" in done.notes()[1]
    assert "60 examples" in done.notes()[1]


def test_convolutions_are_quantised_on_calibration_data(tmp_path):
    model, data = resnet(), torch.randn(100, 3, 16, 16)
    network = simplified(capture(model, data[:2]))
    done = export_onnx(network, tmp_path / "m.onnx", [data[:2]], int8=True, calibration=[data])
    assert done.int8 is not None
    assert done.int8.static
    assert done.int8.layers == done.int8.of == 22
    assert done.int8.calibrated_on == done.examples == 100
    assert done.agreement > 0.8
    held = onnx.load(tmp_path / "m.onnx").graph
    kernels = [i for i in held.initializer if i.name.endswith("_quantized") and len(i.dims) == 4]
    values = [torch.from_numpy(onnx.numpy_helper.to_array(one).copy()) for one in kernels]
    assert {v.dtype for v in values} == {torch.int8}
    assert max(int(v.abs().max()) for v in values) <= 64  # 7 bits
    scales = [i for i in held.initializer if i.name.endswith("conv1.weight_scale")]
    assert all(i.dims[0] > 1 for i in scales)
    assert scales, "each output channel has a scale of its own"
    weights = sum(p.numel() for p in model.parameters())
    assert done.size < 2 * weights + 40_000
    session = OnnxSession(tmp_path / "m.onnx")
    assert session(torch.randn(1, 3, 16, 16))[0].shape == (1, 10)


def test_matrix_products_are_dynamic_with_calibration_data_too(tmp_path):
    x = torch.rand(70, 1, 8, 8)
    network = capture(lenet(), x[:2])
    done = export_onnx(network, tmp_path / "m.onnx", [x[:2]], int8=True, calibration=[x])
    assert done.int8 is not None
    assert (done.int8.static, done.int8.calibrated_on, done.examples) == (False, 0, 70)


def test_convolutions_stay_float32_without_data_and_that_is_said(tmp_path):
    x = torch.randn(2, 3, 16, 16)
    done = export_onnx(capture(resnet(), x), tmp_path / "m.onnx", [x], int8=True)
    assert "int8 (dynamic) in 1 of 22 layers; convolutions stay float32" in done.notes()[1]


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (nn.Conv2d(1, 2, 3), "in convolutions, which need calibration data"),
        (nn.ReLU(), "no product with weights"),
    ],
)
def test_int8_of_nothing_is_refused(tmp_path, model, reason):
    x = torch.rand(2, 1, 8, 8)
    with pytest.raises(UserError, match=reason):
        export_onnx(capture(model, x), tmp_path / "m.onnx", [x], int8=True)
    assert list(tmp_path.iterdir()) == []


def test_int8_of_attention_and_embeddings(tmp_path):
    torch.manual_seed(0)
    model, example = Attention().eval(), attended(8, 5)
    done = export_onnx(capture(model, example), tmp_path / "m.onnx", example, int8=True)
    assert done.int8 is not None
    assert done.int8.layers == done.int8.of == 3  # in and out of attention, the head
    assert done.examples == 40  # tokens
    assert done.agreement > 0.8


def test_calibration_data_that_does_not_fit_is_refused(tmp_path):
    x = torch.rand(2, 3, 16, 16)
    with pytest.raises(UserError, match=r"deployed for torch\.float32 \[any, 3, 16, 16\]"):
        export_onnx(
            capture(resnet(), x), tmp_path / "m.onnx", [x], int8=True, calibration=[x[:, :1]]
        )


@pytest.mark.parametrize(
    ("structure", "names"),
    [
        (0, ["output"]),
        ({"tuple": [0, None, 1]}, ["output_0", "output_2"]),
        ({"dict": {"logits": 0, "past": {"list": [1, {"dict": {"k": 2}}]}}},
         ["logits", "past_0", "past_1_k"]),
    ],
)  # fmt: skip
def test_outputs_are_named_after_the_keys_that_lead_to_them(structure, names):
    assert output_names(structure) == names
