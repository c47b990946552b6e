"""Worker: ``python -m winnow.experiment.train.worker STORE``.

Reads tasks as JSON lines from standard input, answers with JSON lines on standard output (see
`winnow.experiment.train.protocol`), and dies with its parent: when standard input closes, it exits
at once, whatever it is doing. What it has written is whole, the rest is made again. Torch has one
thread, as its sums on one and on two differ in bits; the sparse engine's kernels may have more."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import queue
import signal
import sys
import threading
import traceback
from pathlib import Path

from winnow.errors import UserError
from winnow.experiment.store.store import Store
from winnow.experiment.train.protocol import Answer, DamagedParentError, Order, Task, Tell


def work(store: Path) -> None:
    """Serve tasks until standard input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not be taken for an answer
    import torch

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)

    def tell(answer: Answer) -> None:
        answers.write(json.dumps(answer.dump()) + "\n")

    while True:
        serve(Store(store), tasks.get(), tell)


def _listen(tasks: queue.SimpleQueue[Task]) -> None:
    for line in sys.stdin:
        tasks.put(Task.load(json.loads(line)))
    os._exit(0)


def serve(store: Store, task: Task, tell: Tell) -> None:
    """Do one task; the last answer is idle, damaged or failed."""
    try:
        if task.analysis:
            from winnow.experiment.train.measuring import measure_and_store

            measure_and_store(store, task, tell)
        with contextlib.ExitStack() as locks:
            if orders := _to_train(store, task, locks, tell):
                from winnow.experiment.train.adding import add_and_store
                from winnow.experiment.train.tasks import train_and_store

                train_and_store(store, task, add_and_store(store, task, orders, tell), tell)
        tell(Answer("idle"))
    except DamagedParentError as error:
        tell(Answer("damaged", run=error.run_id))
    except UserError as error:
        tell(Answer("failed", fault="user", error=str(error)))
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
        what = str(error) if full else traceback.format_exc()
        tell(Answer("failed", fault="disk" if full else "bug", error=what))
    except Exception:  # every other fault is a defect: the parent prints it and stops
        tell(Answer("failed", fault="bug", error=traceback.format_exc()))


def _to_train(store: Store, task: Task, locks: contextlib.ExitStack, tell: Tell) -> list[Order]:
    """The runs of a task that nobody trains and that are not stored, locked."""
    mine = []
    for order in task.orders:
        if not locks.enter_context(store.lock(order.run)):
            tell(Answer("busy", run=order.run.id))
        elif store.find(order.run, order.record):
            tell(Answer("done", run=order.run.id))
        else:
            mine.append(order)
    return mine


if __name__ == "__main__":
    work(Path(sys.argv[1]))
