"""``python -m rnn_symbolic`` is the command ``rnn-symbolic``."""

from rnn_symbolic.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
