"""What the clients of a run can know of the pod's termination."""

import asyncio
import math


class News:
    """When the pod's termination began, and whether the pod has ended or the run is over."""

    def __init__(self) -> None:
        self.terminated_at = math.inf
        """The event loop's time, which is time.monotonic()'s."""
        self.stopped = False
        self.gone = asyncio.Event()

    def terminate(self) -> None:
        self.terminated_at = min(self.terminated_at, asyncio.get_running_loop().time())

    def stop(self) -> None:
        self.stopped = True
        self.gone.set()

    def age(self) -> float:
        """Seconds since the termination began; -inf before it."""
        return asyncio.get_running_loop().time() - self.terminated_at

    def reached(self, delay: float) -> bool:
        return self.stopped or self.age() >= delay
