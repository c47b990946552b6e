"""Worker: ``python -m winnow.experiment.train.worker STORE``.

Reads tasks as JSON lines from standard input, answers with JSON lines on standard output (see
`winnow.experiment.train.protocol`), and dies with its parent: when standard input closes, it exits
at once, whatever it is doing. What it has written is whole, the rest is made again. At SIGTERM,
SIGHUP and the word "halt" it first writes a checkpoint of what it trains. Torch has one thread, as
its sums on one and on two differ in bits; the sparse engine's kernels may have more."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import traceback
from pathlib import Path

from winnow.errors import UserError
from winnow.experiment.store.store import LostStoreError, Store
from winnow.experiment.train.halt import Halt, HaltedError
from winnow.experiment.train.protocol import HALT, Answer, DamagedParentError, Order, Task, Tell
from winnow.files import DISK_FAULTS
from winnow.processes import end_with_parent


def work(store: Path) -> None:
    """Serve tasks until standard input closes."""
    end_with_parent()
    halt = Halt(lambda: os._exit(128 + signal.SIGTERM))
    _heed_signals(halt)
    tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(tasks, halt), daemon=True).start()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not be taken for an answer
    import torch

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)

    def tell(answer: Answer) -> None:
        answers.write(json.dumps(answer.dump()) + "\n")

    while True:
        serve(Store(store), tasks.get(), tell, halt)


def _heed_signals(halt: Halt) -> None:
    """Halt at signals that mean a whole group of processes; Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda *_: halt.ask())


def _listen(tasks: queue.SimpleQueue[Task], halt: Halt) -> None:
    for line in sys.stdin:
        if line == HALT:
            halt.ask()
        else:
            tasks.put(Task.load(json.loads(line)))
    os._exit(0)


def serve(store: Store, task: Task, tell: Tell, halt: Halt | None = None) -> None:
    """Do one task; the last answer is idle, damaged or failed, and none when it was halted."""
    try:
        if task.analysis:
            from winnow.experiment.train.measuring import measure_and_store

            measure_and_store(store, task, tell)
        with contextlib.ExitStack() as locks:
            if orders := _to_train(store, task, locks, tell):
                from winnow.experiment.train.adding import add_and_store
                from winnow.experiment.train.tasks import train_and_store

                orders = add_and_store(store, task, orders, tell, halt)
                train_and_store(store, task, orders, tell, halt)
        tell(Answer("idle"))
    except HaltedError:
        return
    except DamagedParentError as error:
        tell(Answer("damaged", run=error.run_id))
    except UserError as error:
        tell(Answer("failed", fault="user", error=str(error)))
    except OSError as error:
        disk = error.errno in DISK_FAULTS or isinstance(error, LostStoreError)
        what = str(error) if disk else traceback.format_exc()
        tell(Answer("failed", fault="disk" if disk else "bug", error=what))
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
