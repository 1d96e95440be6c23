"""Which preStop hook loses which requests: `python -m bench.hooks --help`."""
