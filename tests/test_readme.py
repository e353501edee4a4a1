"""The commands of README.md are real: a flag, a verb or a script that is renamed fails here."""

from __future__ import annotations

import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from synthsift.cli.app import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
CALLED = (".venv/bin/synthsift", "synthsift")
PREPARED = ("adult", "tweets", "agnews", "chars")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")


def blocks(language: str) -> list[str]:
    """Fenced blocks of one language, lines joined where they go on."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    return [block.replace("\\\n", " ") for name, block in found if name == language]


def commands() -> list[list[str]]:
    """Every command of the shell blocks as words."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def verbs(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every verb with its parser, such as "plan mixing"."""
    if not hasattr(command, "commands"):
        yield name, command
        return
    for key, inner in command.commands.items():
        yield from verbs(inner, f"{name} {key}".strip())


VERBS = dict(verbs(get_command(app)))


def verb_of(words: list[str]) -> str:
    """The verb that a command line starts with."""
    return next(name for name in (" ".join(words[:2]), words[0]) if name in VERBS)


def flags_of(verb: str) -> set[str]:
    return {flag for parameter in VERBS[verb].params for flag in (*parameter.opts, *parameter.secondary_opts)}


def parse(words: list[str]) -> None:
    """Let the verb's parser read the words; it raises for what it does not know and runs nothing."""
    verb = verb_of(words)
    VERBS[verb].make_context(verb, words[len(verb.split()) :])


SYNTHSIFT = [words[1:] for words in commands() if words[0] in CALLED]


@pytest.mark.parametrize("words", SYNTHSIFT, ids=[" ".join(words[:2]) for words in SYNTHSIFT])
def test_the_parser_takes_every_command(words: list[str]) -> None:
    parse(words)


def test_the_parser_would_notice() -> None:
    assert len(SYNTHSIFT) >= 12 and {verb_of(words) for words in SYNTHSIFT} >= {"run", "report", "export", "check"}
    unread = (["run", "--reall", "a.csv"], ["report"], ["run", "--seeds", "few"], ["report", "a", "b"])
    for wrong in unread:
        with pytest.raises(Exception, match=r"(?i)no such option|missing|valid integer|unexpected extra"):
            parse(wrong)
    with pytest.raises(StopIteration):
        parse(["forget", "everything"])


def test_all_other_commands_are_there() -> None:
    others = [words for words in commands() if words[0] not in CALLED]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for words in others:
        if words[0] == "make":
            assert set(words[1:]) <= targets, words
        elif words[0].endswith("python"):
            assert (ROOT / words[1]).is_file(), words
        else:
            assert words[:3] == ["python3", "-m", "venv"] and (ROOT / "constraints.txt").is_file()
            assert words[4:] == ["&&", f"{words[3]}/bin/pip", "install", "-c", "constraints.txt", "."]
    assert {words[0] for words in others} == {"make", ".venv/bin/python", "python3"}


def test_outlined_commands_name_flags_of_their_verb() -> None:
    lines = [line.partition("#")[0] for block in blocks("") for line in block.splitlines()]
    outlined = [line.split()[1:] for line in lines if line.startswith("synthsift ")]
    assert len(outlined) >= 6
    spoken = re.findall(r"`(?:synthsift )?((?:\w+ )+[^`]*--[^`]+)`", re.sub(r"```.*?```", "", README, flags=re.DOTALL))
    outlined += [words for text in spoken if (words := text.split())[0] in {verb.split()[0] for verb in VERBS}]
    assert any(words[0] == "drift" for words in outlined)
    for words in outlined:
        verb = verb_of(words)
        assert set(FLAG.findall(" ".join(words))) <= flags_of(verb) | {"--help"}, words


def test_every_flag_in_the_text_belongs_to_a_verb() -> None:
    known = set().union(*map(flags_of, VERBS))
    assert "--budget" in known and "--learner" in FLAG.findall(README)
    assert set(FLAG.findall(README)) <= known | {"--help"}


@pytest.mark.parametrize("name", PREPARED)
def test_the_run_command_stands_below_the_script_that_prints_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthsift.report.shell.command_name", lambda: CALLED[0])
    line = next(line for line in README.splitlines() if f"examples/prepare_{name}.py" in line)
    words = shlex.split(line)
    data, out = Path(words[words.index("--data") + 1]), Path(words[words.index("--out") + 1])
    run_command = runpy.run_path(str(ROOT / words[1]))["run_command"]
    printed = run_command(data, out) if name == "adult" else run_command(out)
    assert f"{line}\n{printed}\n" in README
