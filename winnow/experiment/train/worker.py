"""One-thread worker: ``python -m winnow.experiment.train.worker STORE``.

Reads tasks as JSON lines from standard input, answers with JSON lines on standard output, and dies
with its parent: when standard input closes, it exits at once, whatever it is doing. What it has
written is whole, the rest is made again. One thread, as one and two threads differ in bits.
"""

from __future__ import annotations

import errno
import functools
import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from winnow.errors import UserError
from winnow.experiment.runs import Record, Run, load_run
from winnow.experiment.store.store import Found, Store


def main(store: str) -> None:
    """Serve tasks until standard input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    tasks: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not be taken for an answer
    import torch

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)

    def tell(**answer: Any) -> None:
        answers.write(json.dumps(answer) + "\n")

    tell(event="ready")
    while True:
        serve(Store(Path(store)), tasks.get(), tell)


def _listen(tasks: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        tasks.put(json.loads(line))
    os._exit(0)


def serve(store: Store, task: Mapping[str, Any], tell: Any) -> None:
    """Do one task and tell how it ended: done, busy, damaged, or failed with its reason."""
    run, record = load_run(task["run"]), Record.load(task["record"])
    try:
        with store.lock(run) as free:
            if not free:
                tell(event="busy")
            elif store.find(run, record):
                tell(event="done", fresh=False)
            else:
                more = record | store.recorded(run)  # so that the new copy serves all askers
                _train_and_store(store, run, more, task, tell)
                tell(event="done", fresh=True)
    except DamagedParentError as error:
        tell(event="damaged", run=error.run_id)
    except UserError as error:
        tell(event="failed", kind="user", error=str(error))
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
        kind = "disk" if full else "bug"
        tell(event="failed", kind=kind, error=str(error) if full else traceback.format_exc())
    except Exception:  # every other fault is a defect: the parent prints it and stops
        tell(event="failed", kind="bug", error=traceback.format_exc())


class DamagedParentError(Exception):
    """A parent's file is damaged; it has been set aside and must be made again."""

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id


def _train_and_store(
    store: Store, run: Run, record: Record, task: Mapping[str, Any], tell: Any
) -> None:
    from winnow.algorithms.dynamic.driven import Driven
    from winnow.engine import auto
    from winnow.engine.base import Engine
    from winnow.experiment.store.weights import read_weights
    from winnow.experiment.train.choosing import choose
    from winnow.experiment.train.prepare import make_job, method_of, starting_state
    from winnow.experiment.train.train import Checkpoints, train
    from winnow.mask import to_bytes
    from winnow.statefile import pack_state

    parents = {identity: load_run(plain) for identity, plain in task["parents"].items()}

    @functools.cache
    def start() -> Any:
        used: list[Found] = []
        try:
            return starting_state(
                run,
                lambda i: _parent(store, parents[i], task, used),
                lambda content: read_weights(store, content),
            )
        except ValueError as error:
            if isinstance(error, UserError) or not used:
                raise
            store.set_aside(used[-1].folder, str(error))
            raise DamagedParentError(used[-1].run.id) from None

    path, job = store.checkpoint(run), make_job(run)
    _drop_damaged_checkpoint(store, path)
    choice = choose(run, job, lambda: start().mask, path, task.get("auto"))
    engine: Engine = auto.engine_of(choice)
    if run.dynamic is not None and (method := method_of(run)) is not None:
        engine = Driven(engine, method, run.dynamic["seed"])
    checkpoints = Checkpoints(path, task["checkpoint"], choice.dump())
    result, states = train(
        run,
        record,
        job,
        engine,
        start,
        checkpoints,
        lambda step: tell(event="step", step=step - run.begin),
    )
    files = {
        f"{name}.safetensors": to_bytes("state", *pack_state(state))
        for name, state in states.items()
    }
    about = {**task["about"], "engine": engine.name, "choice": choice.dump()}
    if engine.notes:
        about["engine_notes"] = list(engine.notes)
    store.write(run, record, result, files, about)


def _parent(store: Store, run: Run, task: Mapping[str, Any], used: list[Found]) -> Found:
    record = Record.load(task["parent_records"][run.id])
    found = store.find(run, record)
    if found is None:
        raise DamagedParentError(run.id)
    used.append(found)
    return found


def _drop_damaged_checkpoint(store: Store, path: Path) -> None:
    from winnow.mask import from_bytes

    if path.exists():
        try:
            from_bytes("checkpoint", path.read_bytes(), str(path))
        except ValueError as error:
            store.set_aside(path, str(error))


if __name__ == "__main__":
    main(sys.argv[1])
