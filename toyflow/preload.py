"""Imported by the fork server (`toyflow.workers`) before it forks its first worker, and by nothing else."""

import signal

# The driver handles Ctrl-C, also while this imports. SIGINT is blocked when this process starts.
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

from toyflow.workers import preload  # noqa: E402

preload()
