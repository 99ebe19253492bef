"""Marks of tests that are about what not every system has; SIMLR_TEST_SYSTEM lets this one be taken for another."""

import signal

import pytest

from simlr.platform import HERE

of_linux = pytest.mark.skipif(HERE.name != "linux", reason="is about what Linux alone has")
of_unix = pytest.mark.skipif(HERE.name == "windows", reason="is about what Windows lacks")
with_sigterm = pytest.mark.skipif(signal.SIGTERM not in HERE.ending, reason="SIGTERM ends no command there")
