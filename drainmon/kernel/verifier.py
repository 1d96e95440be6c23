"""Why the kernel's verifier refuses a program: the last lines of its log.

The log lists each instruction that was verified. Where a load fails, libbpf prints all of it as one
message: bpf_object_load_prog() of libbpf.c."""

import threading

LINES = 4
"""Lines that say why: the instruction, where in the source it is, and the objection."""

WIDEST = 200
"""Characters of a line."""

_BEGIN, _END = "-- BEGIN PROG LOAD LOG --", "-- END PROG LOAD LOG --"
_STATISTICS = ("processed ", "verification time ", "stack depth ")

_thread = threading.local()


def last_lines(message: str) -> tuple[str, ...]:
    """The last lines of the verifier's log in a message of libbpf's, without its statistics; none
    when the message contains no log."""
    _, begin, log = message.partition(_BEGIN)
    if not begin:
        return ()
    lines = (line.strip() for line in log.partition(_END)[0].splitlines())
    said = [line[:WIDEST] for line in lines if line and not line.startswith(_STATISTICS)]
    return tuple(said[-LINES:])


def refused(lines: tuple[str, ...]) -> None:
    """Keep the lines for the error that libbpf returns to this thread next."""
    _thread.lines = lines


def explain(error: OSError) -> OSError:
    """Add the lines that were kept to the error, as notes."""
    for line in getattr(_thread, "lines", ()):
        error.add_note(line)
    _thread.lines = ()
    return error


def explanation(error: OSError) -> tuple[str, ...]:
    """The verifier's lines of an error; none when another reason made it."""
    return tuple(getattr(error, "__notes__", ()))
