"""A terminal that keeps what it is shown."""

import io


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True
