"""Imported by the fork server before its first worker, and by nothing else."""

import signal

# Ctrl-C is the driver's to handle, also while this imports. It comes here blocked.
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

from toyflow.workers import preload  # noqa: E402

preload()
