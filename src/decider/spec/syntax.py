"""What a YAML parser's complaint means, in plain words."""

from __future__ import annotations

from typing import Any, TypeAlias

import yaml

Explained: TypeAlias = tuple[int, int, str, str]
"""Line and column from 1, what is wrong, and what to write instead."""

_HERE = {
    "found unexpected end of stream": ("this quote is never closed", "add the closing quote"),
    "found unexpected document separator": ("this quote is never closed", "add the closing quote"),
    "expected alphabetic or numeric character": (
        "a value that begins with `*` or `&` must stand in quotes",
        'write it as "*…"',
    ),
    "found undefined tag handle": ("a value that begins with `!` must stand in quotes", 'write it as "!…"'),
    "expected ' '": ("a value that begins with `!` must stand in quotes", 'write it as "!…"'),
    "sequence entries are not allowed here": (
        "a list cannot begin on the line of its key",
        "put each `- item` on a line of its own, or write [first, second]",
    ),
    "expected chomping or indentation indicators": (
        "nothing but a comment may follow `|` or `>`",
        "begin the text on the next line, indented",
    ),
    "expected a comment or a line break": (
        "nothing but a comment may follow `|` or `>`",
        "begin the text on the next line, indented",
    ),
    "expected '<document start>'": ("more follows after the end of the spec", "remove it"),
    "found incompatible YAML document": ("this version of YAML is not read", "remove the line that begins with %"),
}
"""By what the parser says; the place is where the quote, list or text begins."""


def explain(error: yaml.MarkedYAMLError, text: str) -> Explained:
    """Say where the mistake behind `error` is, what it is, and what to write instead."""
    found: Any = error.problem_mark
    begun: Any = error.context_mark or found
    problem = error.problem or "it is not YAML"
    lines = text.splitlines()
    line = lines[found.line] if found.line < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return found.line + 1, line.index("\t") + 1, "a tab indents this line", "use spaces"
    if problem.startswith("mapping values are not allowed"):
        return _stray_colon(found, lines)
    if problem.startswith("could not find expected ':'"):
        return begun.line + 1, begun.column + 1, *_no_colon(lines[begun.line])
    if problem.startswith("expected <block end>"):
        return found.line + 1, found.column + 1, *_misplaced(problem, line[: found.column])
    if problem.startswith("expected ',' or"):
        close = problem[len("expected ',' or '")]
        opened = "[" if close == "]" else "{"
        message = f"this `{opened}` is not closed, or a comma is missing, before {_position(found)}"
        return begun.line + 1, begun.column + 1, message, f"add the `{close}` or the `,`"
    for beginning, (message, remedy) in _HERE.items():
        if problem.startswith(beginning):
            return begun.line + 1, begun.column + 1, message, remedy
    return found.line + 1, found.column + 1, *_character(problem)


def unprintable(text: str, position: int) -> Explained:
    """Say the same of a character that may not stand in YAML at all."""
    before = text[:position]
    column = position - (before.rfind("\n") + 1)
    message = f"the character U+{ord(text[position]):04X} may not stand in a spec"
    return before.count("\n") + 1, column + 1, message, "remove it; it is invisible in most editors"


def _stray_colon(found: yaml.Mark, lines: list[str]) -> Explained:
    before = lines[found.line][: found.column]
    if ": " in before:
        message = "a value that holds `: ` must stand in quotes"
        return found.line + 1, found.column + 1, message, 'write it as "…", or as a block after `|`'
    above = next((number for number in range(found.line - 1, -1, -1) if lines[number].strip()), found.line)
    if not _has_value(lines[above]):
        column = len(lines[above]) - len(lines[above].lstrip())
        return above + 1, column + 1, *_no_colon(lines[above])
    column = len(before) - len(before.lstrip())
    message = f"this line is indented deeper than line {above + 1}, which already has a value"
    return found.line + 1, column + 1, message, "align it with the keys of its section"


def _has_value(line: str) -> bool:
    return ": " in line or line.lstrip().startswith("- ")


def _no_colon(line: str) -> tuple[str, str]:
    key, colon, value = line.strip().partition(":")
    if colon:
        return "the space after `:` is missing", f"write `{key}: {value}`" if len(line) < 80 else "write `key: value`"
    words = line.split()
    example = f"{words[0]}: {' '.join(words[1:])}".rstrip() if len(line) < 80 else "key: value"
    return "the `:` after the key is missing", f"write `{example}`"


def _misplaced(problem: str, before: str) -> tuple[str, str]:
    found = problem.rpartition("but found ")[2]
    if found == "':'":
        return "the key before this `:` is missing", "write `key: value`"
    if found in ("'?'", "'-'"):
        return "keys and `- ` items are mixed at the same indentation", "indent the items below their key"
    if before.rstrip().endswith(("'", '"')):
        return "text follows after a closing quote", "quote the whole value, with the other kind of quote outside"
    if before.strip():
        return "this follows after the end of a value", "remove it, or quote the whole value"
    return "the indentation of this line fits no line above it", "align it with the keys of its section"


def _character(problem: str) -> tuple[str, str]:
    if problem.startswith("found character"):
        character = problem.split("'")[1]
        if character == r"\t":
            return "a tab stands here", "use spaces"
        return f"a value that begins with {character!r} must stand in quotes", f'write it as "{character}…"'
    if problem.startswith(("found unknown escape character", "expected escape sequence")):
        return r"`\` begins an escape in double quotes", r"write it as \\, or use single quotes"
    if problem.startswith("expected the node content"):
        return (
            f"a value is missing before {problem.rpartition('but found ')[2]}",
            "write the value, or quote this",
        )
    return f"this is not YAML: {problem}", "compare it with the lines around it"


def _position(mark: yaml.Mark) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"
