"""bcc, from Debian's python3-bpfcc: imported only here, and only for its source, as it loads a
compiler of 60 MB into the process."""

import errno
import importlib
import warnings
from typing import Any

_HOW = "Debian: apt install python3-bpfcc"


def load() -> Any:
    """The module. Raises OSError when it is not installed, or another package has its name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn about escapes in bcc's sources
        try:
            module = importlib.import_module("bcc")
        except ModuleNotFoundError as error:
            why = "python3-bpfcc is not installed" if error.name == "bcc" else error
            raise OSError(errno.ENOENT, f"cannot use bcc: {why} ({_HOW})") from error
        except Exception as error:  # another package of that name may raise anything
            raise OSError(errno.ENOENT, f"cannot use bcc: {error} ({_HOW})") from error
    # PyPI has an unrelated package with the same name.
    if not hasattr(getattr(module, "BPF", None), "attach_tracepoint"):
        raise OSError(
            errno.ENOENT,
            f"cannot use bcc: {module.__file__} is another package of that name "
            f"(pip uninstall bcc; {_HOW})",
        )
    return module
