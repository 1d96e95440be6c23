"""Which preStop hook loses what: `python -m bench.hooks --help`."""
