"""Functions run on two ranks: processes of their own, which meet in a file (gloo, on the CPU)."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
import traceback
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist

Results = dict[str, Any]


def on_two_ranks(module: str) -> list[Results]:
    """What the functions of a module that are called ``job_…`` return, by rank and name.

    An error of a job is its result. The processes see the code that this one sees.
    """
    with tempfile.TemporaryDirectory() as folder:
        places = [sys.path[0], *sys.path, str(Path(__file__).parent)]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(dict.fromkeys(p for p in places if p)),
            "OMP_NUM_THREADS": "1",
            "GLOO_SOCKET_IFNAME": "lo",
        }
        processes = [
            subprocess.Popen(
                [sys.executable, __file__, module, str(rank), folder],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for rank in (0, 1)
        ]
        told = [process.communicate()[0] for process in processes]
        for process, output in zip(processes, told, strict=True):
            assert process.returncode == 0, output
        return [torch.load(Path(folder) / f"{rank}.pt", weights_only=False) for rank in (0, 1)]


def _main(module: str, rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=120),
    )
    jobs = importlib.import_module(module)
    results: Results = {}
    for name in [name for name in vars(jobs) if name.startswith("job_")]:
        try:
            results[name.removeprefix("job_")] = getattr(jobs, name)(rank)
        except Exception:
            results[name.removeprefix("job_")] = traceback.format_exc()
    torch.save(results, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


def both(results: list[dict[str, Any]], name: str) -> tuple[Any, Any]:
    """What a job returned on both ranks; fails with its traceback where it raised."""
    for rank in (0, 1):
        assert not (isinstance(results[rank][name], str) and "Traceback" in results[rank][name]), (
            results[rank][name]
        )
    return results[0][name], results[1][name]


def same(one: Any, other: Any) -> bool:
    """Whether two mappings of tensors are equal in every bit."""
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
