"""Fuzz every reader: ``python tests/fuzz/run_fuzz.py --cases 10000``.

A case is a valid file that is damaged by a seeded change and read through the library, or by a command, in a
process of its own. It must give a right answer, or one sentence of ours (exit code 2); a traceback, a crash,
more than 20 s of the processor, more than 2 GiB and a wrong answer are findings.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import sys
import tempfile
import traceback
import zlib
from collections import Counter
from contextlib import suppress
from importlib import import_module
from pathlib import Path

for room in ("fuzz", "io", "atoms", "workflow"):
    sys.path.insert(0, str(Path(__file__).parents[1] / room))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402
from all_subjects import SUBJECTS  # noqa: E402
from isolation import GOOD, VERDICTS, Outcome, isolated, spoken  # noqa: E402
from subjects import Change, Seed, Subject  # noqa: E402

from napari_stemprior.commands.main import main as stemprior  # noqa: E402
from napari_stemprior.errors import StempriorError  # noqa: E402


def run_case(subject: Subject, seeds: list[Seed], number: int, folder: Path) -> tuple[Outcome, Change]:
    """Damage a seed and read it; the subject and the number decide everything."""
    rng = np.random.default_rng([zlib.crc32(subject.name.encode()), number])
    seed = seeds[int(rng.integers(len(seeds)))]
    place = folder / f"{subject.name}-{number}"
    place.mkdir()
    try:
        path, change = subject.damage(seed, place, rng)
        by_command = subject.words is not None and rng.random() < subject.spoken
        outcome = isolated(
            lambda: (
                _spoken(subject, path, seed, change, place)
                if by_command
                else _read(subject, path, seed, change)
            )
        )
        return outcome, change
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _read(subject: Subject, path: Path, seed: Seed, change: Change) -> tuple[str, str]:
    try:
        wrong = subject.judge(path, seed, change)
    except StempriorError as error:
        text = str(error)
        if "memory does not hold" in text:
            return "memory", text
        if change.harmless:
            return "wrong", f"refused what is right: {text}"
        if "\n" in text or not text.endswith((".", "?")) or len(text) > 1500:
            return "wrong", f"no sentence: {text[:300]!r}"
        return "refused", text
    return ("wrong", wrong) if wrong else ("right", "")


def _spoken(subject: Subject, path: Path, seed: Seed, change: Change, place: Path) -> tuple[str, str]:
    assert subject.words is not None
    code = 0
    for words in subject.words(path, seed, place / "out"):
        code, said, printed = spoken(lambda words=words: stemprior(words))
        if code not in (0, 2) or "Traceback" in said + printed:
            return "traceback", f"{words}: {code} {said[-700:]}"
        if code == 2 and not (said + printed).strip():
            return "wrong", f"{words}: refused without a word"
        if code and change.harmless and not subject.ends_refused:
            return "wrong", f"{words}: refused what is right: {said[-300:]}"
        if any(not line.startswith("stemprior") for line in said.splitlines()):
            return "wrong", f"{words}: more than sentences: {said[:500]}"
    return ("refused" if code else "right"), "by command"


def warm(subjects: list[Subject], seeds: list[list[Seed]], root: Path) -> None:
    """Import what readers import when they are used, so that no case pays; see that seeds are right."""

    def read() -> tuple[str, str]:
        shutil.copytree(root / "seeds", root / "warm")
        for subject, some in zip(subjects, seeds, strict=True):
            for seed in some:
                copy = root / "warm" / seed.path.relative_to(root / "seeds")
                if wrong := subject.judge(copy, seed, Change("none", harmless=True)):
                    return "wrong", f"the seed {seed.path.name} of {subject.name}: {wrong}"
        return "right", " ".join(sys.modules)

    found = isolated(read)
    if found.verdict != "right":
        raise SystemExit(f"the seeds are not right: {found.verdict}: {found.text}")
    for name in found.text.split():
        if name not in sys.modules and not name.startswith("_"):
            with suppress(Exception):
                import_module(name)
    gc.collect()
    gc.freeze()


def plan(subjects: list[Subject], cases: int, first: int) -> list[tuple[int, int]]:
    """Divide the cases among the readers by their weights, all of them and at least one each."""
    total = sum(subject.weight for subject in subjects)
    shares = [cases * subject.weight / total for subject in subjects]
    counts = [max(1, int(share)) for share in shares]
    by_remainder = sorted(range(len(subjects)), key=lambda i: int(shares[i]) - shares[i])
    for i in by_remainder[: max(0, cases - sum(counts))]:
        counts[i] += 1
    return [(i, first + n) for i, count in enumerate(counts) for n in range(count)]


def run(subjects: list[Subject], cases: list[tuple[int, int]], jobs: int) -> list[dict[str, object]]:
    """Run the cases in several processes."""
    with tempfile.TemporaryDirectory(prefix="stemprior-fuzz-") as temporary:
        root = Path(temporary)
        seeds = []
        for subject in subjects:
            (root / "seeds" / subject.name).mkdir(parents=True)
            seeds.append(subject.make(root / "seeds" / subject.name))
        warm(subjects, seeds, root)
        workers = []
        for job in range(jobs):
            if (pid := os.fork()) == 0:
                code = 1
                try:
                    with (root / f"results{job}").open("w") as file:
                        for i, number in cases[job::jobs]:
                            outcome, change = run_case(subjects[i], seeds[i], number, root)
                            line = {
                                "reader": subjects[i].name,
                                "number": number,
                                **vars(change),
                                **vars(outcome),
                            }
                            file.write(json.dumps(line) + "\n")
                            file.flush()
                    code = 0
                except Exception:
                    traceback.print_exc()
                finally:
                    os._exit(code)
            workers.append(pid)
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in workers]
        lines = [
            json.loads(t) for job in range(jobs) for t in (root / f"results{job}").read_text().splitlines()
        ]
        if any(codes) or len(lines) != len(cases):
            raise SystemExit(f"the harness itself failed: {codes}, {len(lines)} of {len(cases)} cases")
        return lines


def table(lines: list[dict[str, object]]) -> str:
    """Write the counts of each reader as Markdown."""
    rows = [["reader", "cases", *VERDICTS, "peak (MiB)", "longest (s)"]]
    names = list(dict.fromkeys(str(line["reader"]) for line in lines))
    for name in [*names, "all"]:
        mine = [line for line in lines if name in (line["reader"], "all")]
        counts = Counter(str(line["verdict"]) for line in mine)
        peak = max(int(line["peak"]) for line in mine) / 2**20  # type: ignore[call-overload]
        longest = max(float(line["cpu"]) for line in mine)  # type: ignore[arg-type]
        rows.append(
            [name, str(len(mine)), *(str(counts[v]) for v in VERDICTS), f"{peak:.0f}", f"{longest:.1f}"]
        )
    rows.insert(1, ["---", *["--:"] * (len(rows[0]) - 1)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main() -> int:
    """Run the cases, print the table and every finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case of each reader")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--reader", action="append", help="only this one; may be repeated")
    parser.add_argument("--again", type=Path, help="only the cases of such a file that were not right")
    parser.add_argument("--lines", type=Path, help="write every case to this file, a line of JSON each")
    parser.add_argument("--verbose", action="store_true", help="print every case")
    options = parser.parse_args()
    subjects = [s for s in SUBJECTS if not options.reader or s.name in options.reader]
    cases = plan(subjects, options.cases, options.first)
    if options.again:
        old = [json.loads(line) for line in options.again.read_text().splitlines()]
        places = {subject.name: i for i, subject in enumerate(subjects)}
        cases = [(places[line["reader"]], line["number"]) for line in old if line["verdict"] not in GOOD]
    lines = run(subjects, cases, options.jobs)
    if options.lines:
        options.lines.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for line in lines:
        if options.verbose or line["verdict"] not in GOOD:
            said = f"{line['kind']} ({line['note']}): {line['verdict']}: {line['text']}"
            print(f"{line['reader']} {line['number']} {said}")
    print(table(lines))
    return 0 if all(line["verdict"] in GOOD for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
