"""The same operations without a window: ``stemprior segment``, ``priors``, ``train``, ``calibrate``.

What a command needs is imported when it runs, so that ``stemprior --version`` answers at once.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from io import TextIOWrapper
from typing import Any, NoReturn

from napari_stemprior.commands.stopping import TerminatedError, exit_code, terminating
from napari_stemprior.errors import BAD_INPUT, StempriorError, out_of_memory

_EXAMPLES = """\
examples:
  stemprior priors
  stemprior segment flake.dm3 --prior MoS2 -o out
  stemprior segment recorded/ --prior "Si [110]" --pixel-size 0.098 -o out
  stemprior segment film.emd --prior perovskite.cif --zone-axis 1-10 --trust 0.5 -o out
  stemprior segment flake.dm3 --no-prior -o out
"""


@dataclass(frozen=True)
class Command:
    """One subcommand: add a line to `COMMANDS` for another."""

    summary: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0; 2 after one sentence on bad input; 130 after Ctrl+C and 143 after SIGTERM.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; those of the process by default.
    """
    arguments = _joined_zone_axis(list(sys.argv[1:] if argv is None else argv))
    for stream in (sys.stdout, sys.stderr):  # a file name need not be text
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    with _quiet_libraries(), terminating():
        try:
            options = _parser(arguments).parse_args(arguments)
            return int(COMMANDS[options.command].run(options))
        except StempriorError as error:
            _say(str(error))
            return BAD_INPUT
        except (MemoryError, RuntimeError) as error:
            told = out_of_memory(error)
            if told is None:
                raise
            _say(str(told))
            return BAD_INPUT
        except BrokenPipeError:  # the reader of a pipe went away, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except OSError as error:  # a full disk, a folder that is not ours
            _say(
                f"{error.filename or 'a file'}: {error.strerror or error}; check the path and the space left."
            )
            return BAD_INPUT
        except KeyboardInterrupt as stop:
            _say("stopped.")
            return exit_code(signal.SIGTERM if isinstance(stop, TerminatedError) else signal.SIGINT)


def _parser(arguments: list[str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="stemprior",
        description="Segment atomic-resolution STEM micrographs with a lattice prior.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((a for a in arguments if not a.startswith("-")), None)
    for name, command in COMMANDS.items():
        sub = commands.add_parser(
            name,
            help=command.summary,
            description=command.summary[0].upper() + command.summary[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if name == chosen:  # only this one imports what its options need
            command.configure(sub)
    return parser


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: {message}; see '{self.prog} --help'.\n")


class _Version(argparse.Action):
    """Prints the version: to look it up takes longer than the rest of the start, so only if it is asked."""

    def __call__(self, parser: argparse.ArgumentParser, *arguments: object, **options: object) -> None:
        """Print it and exit."""
        from napari_stemprior import __version__

        print(f"stemprior {__version__}")
        parser.exit()


def _subcommand(summary: str, name: str) -> Command:
    """Make a command of ``commands/<name>.py``, which has `add_arguments` and `run`; imported when used."""
    module = f"napari_stemprior.commands.{name}"

    def configure(parser: argparse.ArgumentParser) -> None:
        import_module(module).add_arguments(parser)

    def run(options: argparse.Namespace) -> int:
        return int(import_module(module).run(options))

    return Command(summary, configure, run)


_SUMMARIES = {
    "segment": "find the atom columns of micrographs",
    "priors": "list the built-in lattice priors, or the columns of one",
    "measure": "measure saved atoms: strain, intensities, defects, with figures and a report",
    "export": "write saved atoms for another program",
    "pairs": "list, check, merge or split training pairs",
    "structures": "write the crystals of training scenes as one file",
    "train": "train a network on simulated scenes",
    "calibrate": "fit how sure a trained network is",
    "finetune": "fine-tune a network on corrected pairs",
    "simulate": "simulate references of crystals as TIFF",
    "suggest": "rank the built-in crystals for a micrograph",
}
COMMANDS: dict[str, Command] = {name: _subcommand(text, name) for name, text in _SUMMARIES.items()}


def _joined_zone_axis(arguments: list[str]) -> list[str]:
    """Let a zone axis or a plane begin with a minus sign, which argparse takes for an option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] in ("--zone-axis", "--normal") and re.fullmatch(r"-[\d\s,+-]+", argument):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def _say(sentence: str) -> None:
    print("stemprior: " + " ".join(sentence.split()), file=sys.stderr)


@contextmanager
def _quiet_libraries() -> Iterator[Any]:
    """Keep the warnings of libraries off the terminal, unless ``-W`` asks for them."""
    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        yield
