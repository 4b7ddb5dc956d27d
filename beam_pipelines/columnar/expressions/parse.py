"""SQL text into sqlglot's trees, and errors that say where in the text."""

from __future__ import annotations

import re

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.tokens import TokenType

from beam_pipelines.errors import ExpressionError

DIALECT = "duckdb"
"""Whose grammar is read. What the functions mean is written here and tested against DuckDB."""

MAX_CHARACTERS = 20_000
"""Longer text is refused: nobody writes it by hand, and a parser's stack has an end."""

MAX_DEPTH = 150
"""Levels of nesting, of which `a + b + c` has two: compiling and running an expression recurses."""

_SELECT = "SELECT "


def parse_list(text: str) -> list[exp.Expression]:
    """Read a comma-separated list of expressions, each with or without `AS name`.

    >>> [tree.sql() for tree in parse_list("count(*) as n, sum(price)")]
    ['COUNT(*) AS n', 'SUM(price)']
    """
    if not text.strip():
        raise ExpressionError("the expression is empty")
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError(f"the expression has {len(text)} characters, more than {MAX_CHARACTERS}")
    statement = _SELECT + text
    try:
        _check_tokens(text, sqlglot.tokenize(statement, read=DIALECT))
        tree = sqlglot.parse_one(statement, read=DIALECT)
    except ParseError as error:
        raise _syntax_error(text, error) from None
    except SqlglotError as error:
        reason = re.sub(r"\x1b\[\d+m", "", str(error)).removeprefix("Error tokenizing ")
        raise ExpressionError(f"'{shorten(text)}' can't be read as SQL: {reason}") from None
    except RecursionError:
        raise _too_deep(text) from None
    if _depth(tree) > MAX_DEPTH:
        raise _too_deep(text)
    clauses = [name.rstrip("_").upper() for name, part in tree.args.items() if part and name != "expressions"]
    if not isinstance(tree, exp.Select) or clauses:
        extra = f"no {clauses[0]} clause" if clauses else "one statement"
        raise ExpressionError(f"'{shorten(text)}': only expressions over columns can be used here, {extra}")
    if not tree.expressions:
        raise ExpressionError("the expression is empty")
    return list(tree.expressions)


def parse_scalar(text: str) -> exp.Expression:
    """Read a single expression without a name."""
    trees = parse_list(text)
    if len(trees) > 1:
        raise ExpressionError(f"'{shorten(text)}' is {len(trees)} expressions, and one is wanted here")
    if isinstance(trees[0], exp.Alias):
        raise error_at(text, trees[0], f"a name is not wanted here: AS {trees[0].alias}")
    return trees[0]


def error_at(text: str, node: exp.Expression, message: str) -> ExpressionError:
    """An error about a node of a tree that was read from `text`."""
    starts = [part.meta["start"] for part in node.walk() if "start" in part.meta]
    place = f", at character {min(starts) - len(_SELECT) + 1}" if starts else ""
    return ExpressionError(f"{message} (in '{shorten(text)}'{place})")


def shorten(text: str) -> str:
    """Text for a message: on one line, at most 100 characters."""
    line = " ".join(text.split())
    return line if len(line) <= 100 else line[:97] + "..."


def _depth(tree: exp.Expression) -> int:
    deepest, waiting = 0, [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        deepest = max(deepest, depth)
        waiting += [(child, depth + 1) for child in node.iter_expressions()]
    return deepest


def _too_deep(text: str) -> ExpressionError:
    return ExpressionError(f"'{shorten(text)}' is nested too deeply, more than {MAX_DEPTH} levels")


def _check_tokens(text: str, tokens: list[sqlglot.Token]) -> None:
    """Refuse what sqlglot reads otherwise than it is meant: `x AS` as `x`, `0x1f` as `0 AS x1f`."""
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        place = f"(in '{shorten(text)}', at character {token.start - len(_SELECT) + 1})"
        if token.token_type == TokenType.ALIAS and (following is None or following.token_type == TokenType.COMMA):
            raise ExpressionError(f"a name must follow AS {place}")
        if (
            token.token_type == TokenType.NUMBER
            and following is not None
            and following.token_type == TokenType.VAR
            and following.start == token.end + 1
        ):
            raise ExpressionError(f"'{token.text}{following.text}' is not a number {place}")


def _syntax_error(text: str, error: ParseError) -> ExpressionError:
    first = error.errors[0] if error.errors else {}
    near = first.get("highlight") or ""
    reason = (first.get("description") or str(error)).split(" for <class")[0]
    if reason.startswith("Required keyword"):
        reason = "something is missing"
    line_start = [0, *(match.end() for match in re.finditer("\n", text))][max(0, first.get("line", 1) - 1)]
    end = first.get("col", 0) + line_start - (len(_SELECT) if first.get("line", 1) == 1 else 0)
    at = max(1, end - len(near) + 1)
    return ExpressionError(f"'{shorten(text)}' can't be read as SQL: {reason} near '{near}' (at character {at})")
