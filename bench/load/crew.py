"""The crowds of one run, as whoever conducts it sees them: processes that are told something and answer."""

import multiprocessing
import signal
from collections.abc import Iterable, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Self, TypeVar

from bench.load.crowd import run
from bench.load.orders import Answer, Failure, Order

T = TypeVar("T", bound=Answer)

# A copy of this process, which has imported everything already, and has no threads.
_processes = multiprocessing.get_context("fork")

END_SECONDS = 10.0


class Crew:
    """So many crowds, as a context manager; they are ended with it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._pipes: list[Connection] = []
        self._running: list[BaseProcess] = []

    def __enter__(self) -> Self:
        for _ in range(self._size):
            ours, theirs = _processes.Pipe()
            process = _processes.Process(target=_run, args=(theirs, [*self._pipes, ours]), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._running.append(process)
        return self

    def __exit__(self, *exc: object) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._running:
            process.join(END_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()
            process.close()

    def each(self, orders: Mapping[int, Order], answer: type[T]) -> list[T]:
        """Tell these crowds something each, and wait for all answers. Raises RuntimeError when one cannot go on."""
        self.tell(orders)
        return self.answers(orders, answer)

    def all(self, order: Order, answer: type[T]) -> list[T]:
        """Tell all crowds the same, and wait for all answers. Raises RuntimeError when one cannot go on."""
        return self.each(dict.fromkeys(range(self._size), order), answer)

    def tell(self, orders: Mapping[int, Order]) -> None:
        """Tell these crowds something each."""
        for number, order in orders.items():
            self._pipes[number].send(order)

    def has_answered(self, number: int) -> bool:
        """Whether there is an answer of this crowd to take."""
        return self._pipes[number].poll()

    def answers(self, numbers: Iterable[int], answer: type[T]) -> list[T]:
        """Wait for the answers of these crowds. Raises RuntimeError when one cannot go on."""
        pipes = [self._pipes[number] for number in numbers]
        answers: dict[Connection, T] = {}
        while len(answers) < len(pipes):
            for pipe in wait([pipe for pipe in pipes if pipe not in answers]):
                assert isinstance(pipe, Connection)
                try:
                    got = pipe.recv()
                except EOFError:
                    raise RuntimeError("A process of the load generator has ended.") from None
                match got:
                    case Failure(reason):
                        raise RuntimeError(reason)
                assert isinstance(got, answer)
                answers[pipe] = got
        return [answers[pipe] for pipe in pipes]


def _run(orders: Connection, not_ours: Sequence[Connection]) -> None:
    # What a fork inherits: as long as it is open here, nobody else's end of a pipe ever ends.
    for pipe in not_ours:
        pipe.close()
    # Whoever conducts it ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run(orders)
