"""Every writer is killed a few times at its work; ``make kills`` does so 200 times."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).with_name("run_kills.py")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked")
def test_nothing_is_lost_or_half_written_when_a_writer_is_killed():
    done = subprocess.run([sys.executable, str(RUN), "--kills", "24"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    killed, whole, lost = re.search(r"\| all \| (\d+) \|  \| (\d+) \| (\d+) \|", done.stdout).groups()
    assert (int(killed), int(lost)) == (int(whole), 0)
    assert int(killed) >= 20
