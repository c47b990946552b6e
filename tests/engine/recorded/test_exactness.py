"""What torch is told for repeatable numbers on a GPU, and that nothing of it stays behind."""

from __future__ import annotations

import os
import warnings

import pytest
import torch

from winnow.engine.recorded.exactness import exact_compiling, exact_numbers, telling_of_chance

CUDA = torch.device("cuda")
WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def settings():
    cudnn = torch.backends.cudnn
    return {
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warns": torch.is_deterministic_algorithms_warn_only_enabled(),
        "fills": torch.utils.deterministic.fill_uninitialized_memory,
        "cudnn chooses": cudnn.benchmark,
        "cudnn deterministic": cudnn.deterministic,
        "cudnn tf32": cudnn.allow_tf32,
        "tf32": torch.backends.cuda.matmul.allow_tf32,
        "workspace": os.environ.get(WORKSPACE),
    }


@pytest.fixture(autouse=True)
def _no_workspace(monkeypatch):
    monkeypatch.delenv(WORKSPACE, raising=False)


def test_inside_numbers_are_exact_and_afterwards_all_is_as_before():
    before = settings()
    with exact_numbers(CUDA):
        assert settings() == {
            "deterministic": True,
            "warns": True,
            "fills": False,
            "cudnn chooses": False,
            "cudnn deterministic": True,
            "cudnn tf32": False,
            "tf32": False,
            "workspace": ":4096:8",
        }
        inside = settings()
        with exact_numbers(CUDA, deterministic=False, tf32=True):
            assert settings()["tf32"]
            assert settings()["cudnn tf32"]
        assert settings() == inside
    assert settings() == before


def test_what_a_user_has_set_comes_back_after_an_error(monkeypatch):
    monkeypatch.setenv(WORKSPACE, ":16:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = True
    before = settings()
    try:
        with pytest.raises(ZeroDivisionError):
            _failing_inside()
        assert settings() == before
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.benchmark = False


def _failing_inside():
    with exact_numbers(CUDA):
        assert settings()["workspace"] == ":16:8"  # exact as well, and the user's
        assert not settings()["cudnn chooses"]
        raise ZeroDivisionError


def test_one_may_do_without_and_have_tf32():
    with exact_numbers(CUDA, deterministic=False, tf32=True):
        inside = settings()
    assert not inside["deterministic"]
    assert not inside["cudnn deterministic"]
    assert inside["workspace"] is None
    assert inside["tf32"]
    assert inside["cudnn tf32"]


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_elsewhere_nothing_is_set(device):
    before = settings()
    with exact_numbers(torch.device(device)):
        assert settings() == before


def test_an_operation_of_chance_is_noted_and_other_warnings_stay_warnings():
    notes = []
    with pytest.warns(UserWarning, match="something else"):
        _warning_twice(notes)
    assert notes == [
        "its bits may differ from run to run: adaptive_avg_pool2d_backward_cuda does not have a "
        "deterministic implementation, but you set 'torch.use_deterministic_algorithms(True, "
        "warn_only=True)'"
    ]


def _warning_twice(notes):
    with telling_of_chance(notes.append):
        warnings.warn(
            "adaptive_avg_pool2d_backward_cuda does not have a deterministic implementation, but "
            "you set 'torch.use_deterministic_algorithms(True, warn_only=True)'. You can file",
            stacklevel=1,
        )
        warnings.warn("something else", stacklevel=1)


def test_a_compiler_for_a_gpu_is_told_as_well():
    config = pytest.importorskip("torch._inductor.config")
    if not hasattr(config, "deterministic"):
        pytest.skip("this torch's compiler cannot be told")
    before = config.deterministic
    with exact_compiling(CUDA, True):
        assert config.deterministic
    for device, deterministic in ((CUDA, False), (torch.device("cpu"), True)):
        with exact_compiling(device, deterministic):
            assert config.deterministic == before
    assert config.deterministic == before
