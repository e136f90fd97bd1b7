"""Kill every writer at its work: ``python tests/kills/run_kills.py --kills 200``.

A process writes one version after another and says before and after each which one. It is killed (SIGKILL)
at a file operation that the seed names, or after a time. Then the version that was acknowledged last or the
one that was being written must lie there whole; the next start goes on from it and clears what was left.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

for _folder in ("fuzz", "adaptation", "workflow"):
    sys.path.insert(0, str(Path(__file__).parents[1] / _folder))
sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402
from isolation import Outcome, isolated  # noqa: E402
from kill_writers import RUN, WRITERS, KillWriter, warm  # noqa: E402

#: Operations between which a process may be killed; each is told by the interpreter's audit hook.
_OPERATIONS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree"}


def work(
    writer: KillWriter, folder: Path, first: int, kill_at: int = 0, after: float = 0.0
) -> tuple[int, int, int, float]:
    """Write in a process of its own; kill it at an operation or after a time.

    Returns what was done last, what it was about to do, the operations of a whole run, and its seconds.
    """
    reading, writing = os.pipe()
    began = time.monotonic()
    if (pid := os.fork()) == 0:
        os.close(reading)
        code = 1
        try:
            count = _armed(folder, kill_at)
            for number, version in enumerate(writer.write(folder, first)):
                os.write(writing, f"{'done' if number % 2 else 'will'} {version}\n".encode())
            os.write(writing, f"count {count()}\n".encode())
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as said:
        lines = [said.readline()] if after else []  # it is at work
        if after:
            time.sleep(after)
            os.kill(pid, signal.SIGKILL)
        lines += said.readlines()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code not in (0, -signal.SIGKILL):
        raise RuntimeError(f"{writer.name} ended with {code}")
    words = [line.split() for line in lines if line.endswith("\n")]
    last = {word: int(value) for word, value in words}
    return (
        last.get("done", first - 1),
        last.get("will", first - 1),
        last.get("count", 0),
        time.monotonic() - began,
    )


def _armed(folder: Path, kill_at: int) -> Callable[[], int]:
    """Count the operations of this process in a folder; kill it before the one of a number."""
    count, place = 0, str(folder)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        if event in _OPERATIONS and any(str(a).startswith(place) for a in arguments):
            count += 1
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return lambda: count


def one_kill(writer: KillWriter, folder: Path, rng: np.random.Generator, whole: tuple[int, float]) -> str:
    """Kill once and look; return "" where all is well, "finished" where it was too late, or what is wrong."""
    (folder / "x").mkdir(parents=True)
    folder = folder / "x"
    first = 1
    if writer.name != "journal" and rng.random() < 0.7:  # over what is there already
        done, *_ = work(writer, folder, 1)
        first = done + 1
    operations, seconds = whole
    if rng.random() < 0.7:
        done, will, count, _ = work(writer, folder, first, kill_at=int(rng.integers(1, operations + 1)))
    else:
        done, will, count, _ = work(writer, folder, first, after=float(rng.uniform(0, seconds)))
    found = _read(writer, folder)
    if found.verdict != "right":
        return f"not readable: {found.text}"
    if int(found.text) not in (done, will):
        return f"{found.text} lies there; {done} was done and {will} under way"
    if writer.name != "journal":  # which begins a new file
        begin = int(found.text) + 1
        work(writer, folder, begin)
        found = _read(writer, folder)
        if found.verdict != "right" or int(found.text) != begin + RUN - 1:
            return f"the next start does not go on: {found.text} in place of {begin + RUN - 1}"
        left = [
            str(p.relative_to(folder))
            for p in folder.rglob("*")
            if ".stemprior-" in p.name and "edits" not in p.name and not p.name.endswith(".stemprior-images")
        ]
        if left:
            return f"left behind: {left}"
    return "finished" if count else ""


def _read(writer: KillWriter, folder: Path) -> Outcome:
    return isolated(lambda: ("right", str(writer.read(folder))))


def main() -> int:
    """Kill, print a table, and return 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--writer", action="append", help="only this one; may be repeated")
    options = parser.parse_args()
    warm()
    writers = [w for w in WRITERS if not options.writer or w.name in options.writer]
    share = -(-options.kills // len(writers))
    rows, bad = [["writer", "kills", "operations in a run", "whole", "lost"], ["---", *["--:"] * 4]], 0
    with tempfile.TemporaryDirectory(prefix="stemprior-kills-") as temporary:
        for writer in writers:
            root = Path(temporary) / writer.name.replace(" ", "-")
            (root / "whole").mkdir(parents=True)
            _, _, operations, seconds = work(writer, root / "whole", 1)
            counts: Counter[str] = Counter()
            for number in range(4 * share):
                if counts["killed"] == share:
                    break
                rng = np.random.default_rng([options.seed, number])
                wrong = one_kill(writer, root / str(number), rng, (operations, seconds))
                counts["killed"] += wrong != "finished"
                counts["lost"] += wrong not in ("", "finished")
                if wrong not in ("", "finished"):
                    print(f"{writer.name} {number}: {wrong}")
            print(f"{writer.name}: {counts['killed']} kills", file=sys.stderr, flush=True)
            killed, lost = counts["killed"], counts["lost"]
            bad += lost
            rows.append([writer.name, str(killed), str(operations), str(killed - lost), str(lost)])
    sums = [sum(int(row[i]) for row in rows[2:]) for i in (1, 3, 4)]
    rows.append(["all", str(sums[0]), "", str(sums[1]), str(sums[2])])
    print("\n".join("| " + " | ".join(row) + " |" for row in rows))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
