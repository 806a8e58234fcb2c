"""Go templates: text to a tree. Grammar: Go's text/template, without define, template and block."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from cache.errors import PybuildError


class TemplateError(PybuildError):
    """A --format that cannot be read, or does not fit what it is shown."""

    code: ClassVar[str] = "template"


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant."""

    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Chain:
    """Fields of something: `.A.B`, `$x.A`, `(pipeline).A`; no fields: the thing itself."""

    start: str | Pipeline  # "." or a variable's name with its "$"
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """A function's name."""

    name: str


Operand: TypeAlias = Literal | Chain | Function


@dataclass(frozen=True, slots=True)
class Command:
    """What is called or shown, then its arguments."""

    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands of which each gets the value of the one before as its last argument."""

    commands: tuple[Command, ...]
    variables: tuple[str, ...] = ()  # that take the value
    declares: bool = False  # ":=", not "="


@dataclass(frozen=True, slots=True)
class Text:
    """Shown as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Action:
    """A value to be shown."""

    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class Branch:
    """`if` and `with`, which makes the value the dot."""

    pipeline: Pipeline
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]
    sets_dot: bool


@dataclass(frozen=True, slots=True)
class Range:
    """A body for each element."""

    pipeline: Pipeline
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Jump:
    """`break` and `continue`."""

    leaves: bool


Node: TypeAlias = Text | Action | Branch | Range | Jump

_ACTION = re.compile(
    r"""\{\{(?P<trim_before>-\s)?
    (?:\s*/\*(?P<comment>.*?)\*/\s*?
      |(?P<code>(?:"(?:\\.|[^"\\\n])*"|`[^`]*`|'(?:\\.|[^'\\\n])*'|[^"`'}]|\}(?!\}))*?))
    (?P<trim_after>\s-)?\}\}""",
    re.DOTALL | re.VERBOSE,
)
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<string>"(?:\\.|[^"\\\n])*")
    |(?P<raw>`[^`]*`)
    |(?P<char>'(?:\\.|[^'\\\n])+')
    |(?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?))
    |(?P<field>\.\w+)
    |(?P<dot>\.)
    |(?P<variable>\$\w*)
    |(?P<word>\w+)
    |(?P<mark>:=|[=|(),])""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)")
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "nil": None}


def parse_template(text: str, functions: frozenset[str]) -> tuple[Node, ...]:
    """The template's tree; TemplateError for what is no template. `functions` are those known."""
    parser = _Parser(_pieces(text), functions)
    nodes, end = parser.body(in_range=False)
    if end:
        raise TemplateError(f"the template has an unexpected {{{{{end}}}}}")
    return nodes


def _pieces(text: str) -> list[Text | str]:
    """Text and the code of actions, white space trimmed where the marks ask for it."""
    pieces: list[Text | str] = []
    position, trims = 0, False
    while True:
        match = _ACTION.search(text, position)
        before = text[position : match.start() if match else len(text)]
        if "{{" in before:
            raise TemplateError("the template has an action that is not closed")
        before = before.lstrip() if trims else before
        if match is None:
            pieces.append(Text(before))
            return pieces
        pieces.append(Text(before.rstrip() if match["trim_before"] else before))
        if match["comment"] is None:
            pieces.append(match["code"])
        trims = match["trim_after"] is not None
        position = match.end()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def _tokens(code: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    while position < len(code):
        match = _TOKEN.match(code, position)
        if match is None or match.lastgroup is None:
            raise TemplateError(
                f"the template has an unexpected {code[position]!r} in {{{{{code}}}}}"
            )
        tokens.append(_Token(match.lastgroup, match.group()))
        position = match.end()
    return tokens


class _Parser:
    """Takes the pieces one by one; each method leaves the position after what it has read."""

    def __init__(self, pieces: list[Text | str], functions: frozenset[str]) -> None:
        self._pieces = iter(pieces)
        self._functions = functions

    def body(self, *, in_range: bool) -> tuple[tuple[Node, ...], str]:
        """Nodes up to an `end` or `else`, whose text is the second value; "" at the text's end."""
        nodes: list[Node] = []
        for piece in self._pieces:
            if isinstance(piece, Text):
                nodes.append(piece)
                continue
            words = piece.split(None, 1)
            keyword = words[0] if words else ""
            rest = words[1] if len(words) == 2 else ""
            if keyword in {"end", "else"}:
                return tuple(nodes), piece.strip()
            nodes.append(self._node(keyword, rest, piece, in_range=in_range))
        return tuple(nodes), ""

    def _node(self, keyword: str, rest: str, code: str, *, in_range: bool) -> Node:
        match keyword:
            case "if" | "with":
                return self._branch(rest, sets_dot=keyword == "with", in_range=in_range)
            case "range":
                pipeline = self._pipeline(rest, variables=2)
                body, otherwise = self._bodies(in_range=True)
                return Range(pipeline, body, otherwise)
            case "break" | "continue":
                if not in_range:
                    raise TemplateError(f"the template has a {keyword} outside of a range")
                return Jump(leaves=keyword == "break")
            case "define" | "template" | "block":
                raise TemplateError(f"{keyword} is not supported in --format")
            case _:
                return Action(self._pipeline(code))

    def _branch(self, condition: str, *, sets_dot: bool, in_range: bool) -> Branch:
        pipeline = self._pipeline(condition)
        body, otherwise = self._bodies(in_range=in_range)
        return Branch(pipeline, body, otherwise, sets_dot=sets_dot)

    def _bodies(self, *, in_range: bool) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
        body, end = self.body(in_range=in_range)
        if end == "end":
            return body, ()
        words = end.split(None, 2)
        if len(words) > 1 and words[1] in {"if", "with"}:
            condition = words[2] if len(words) == 3 else ""
            return body, (self._branch(condition, sets_dot=words[1] == "with", in_range=in_range),)
        otherwise, end = self.body(in_range=in_range) if end == "else" else ((), "")
        if end != "end":
            raise TemplateError("the template has a block without its {{end}}")
        return body, otherwise

    def _pipeline(self, code: str, *, variables: int = 1) -> Pipeline:
        reader = _PipelineReader(_tokens(code), code, self._functions)
        pipeline = reader.pipeline(variables)
        reader.expect_end()
        return pipeline


class _PipelineReader:
    """Reads the tokens of one action."""

    def __init__(self, tokens: list[_Token], code: str, functions: frozenset[str]) -> None:
        self._tokens = tokens
        self._position = 0
        self._code = code.strip()
        self._functions = functions

    def pipeline(self, variables: int = 0) -> Pipeline:
        names, declares = self._assignment(variables)
        commands = [self._command()]
        while self._take("|"):
            commands.append(self._command())
        return Pipeline(tuple(commands), names, declares)

    def expect_end(self) -> None:
        self._skip_space()
        if self._position < len(self._tokens):
            raise self._error(f"an unexpected {self._tokens[self._position].text!r}")

    def _assignment(self, limit: int) -> tuple[tuple[str, ...], bool]:
        start = self._position
        names: list[str] = []
        while len(names) < limit and (token := self._next("variable")):
            names.append(token.text)
            if self._take(":="):
                return tuple(names), True
            if self._take("="):
                return tuple(names), False
            if not self._take(","):
                break
        self._position = start
        return (), False

    def _command(self) -> Command:
        operands: list[Operand] = []
        while (operand := self._operand()) is not None:
            operands.append(operand)
            following = self._peek()
            if following is not None and following.kind != "space" and following.text not in "|)":
                raise self._error(f"an unexpected {following.text!r}")
        if not operands:
            raise self._error("a value missing")
        return Command(tuple(operands))

    def _operand(self) -> Operand | None:
        self._skip_space()
        token = self._peek()
        if token is None or token.text in {"|", ")"}:
            return None
        self._position += 1
        match token.kind:
            case "field" | "dot" | "variable":
                return self._named(token)
            case "word":
                return self._word(token.text)
            case "mark" if token.text == "(":
                return self._parenthesised()
            case "string" | "raw" | "char" | "number":
                return Literal(_constant(token))
            case _:
                raise self._error(f"an unexpected {token.text!r}")

    def _named(self, token: _Token) -> Chain:
        if token.kind == "field":
            return Chain(".", (token.text[1:], *self._fields()))
        return Chain(token.text, self._fields() if token.kind == "variable" else ())

    def _word(self, word: str) -> Operand:
        if word in _CONSTANTS:
            return Literal(_CONSTANTS[word])
        if word not in self._functions:
            raise TemplateError(f'the template calls "{word}", which is no function')
        return Function(word)

    def _parenthesised(self) -> Chain:
        inner = self.pipeline()
        if not self._take(")"):
            raise self._error("a ( that is not closed")
        return Chain(inner, self._fields())

    def _fields(self) -> tuple[str, ...]:
        names: list[str] = []
        while (token := self._peek()) is not None and token.kind == "field":
            names.append(token.text[1:])
            self._position += 1
        return tuple(names)

    def _peek(self) -> _Token | None:
        return self._tokens[self._position] if self._position < len(self._tokens) else None

    def _next(self, kind: str) -> _Token | None:
        self._skip_space()
        token = self._peek()
        if token is None or token.kind != kind:
            return None
        self._position += 1
        return token

    def _take(self, mark: str) -> bool:
        self._skip_space()
        token = self._peek()
        if token is None or token.text != mark or token.kind != "mark":
            return False
        self._position += 1
        return True

    def _skip_space(self) -> None:
        while (token := self._peek()) is not None and token.kind == "space":
            self._position += 1

    def _error(self, problem: str) -> TemplateError:
        return TemplateError(f"the template has {problem} in {{{{{self._code}}}}}")


def _constant(token: _Token) -> str | int | float:
    match token.kind:
        case "raw":
            return token.text[1:-1]
        case "string":
            return unescaped(token.text[1:-1])
        case "char":
            return _character_constant(token.text)
        case _:
            return _number(token.text)


def _character_constant(text: str) -> int:
    character = unescaped(text[1:-1])
    if len(character) != 1:
        raise TemplateError(f"the template has {text}, which is not one character")
    return ord(character)


def _number(text: str) -> int | float:
    convert: Callable[[str], int | float] = float
    if "x" in text.lower():
        return int(text, 16)
    if not any(mark in text for mark in ".eE"):
        convert = int
    return convert(text)


def unescaped(text: str) -> str:
    """`text` with Go's backslash escapes resolved."""
    return _ESCAPE.sub(_unescaped_one, text)


def _unescaped_one(match: re.Match[str]) -> str:
    code: str = match[1]
    if code[0] in "xuU" and len(code) > 1:
        return _character(int(code[1:], 16))
    if code.isdigit() and len(code) == 3:
        return _character(int(code, 8))
    return _ESCAPES.get(code, code)


def _character(number: int) -> str:
    if number > 0x10FFFF:
        raise TemplateError("the template has an escape beyond Unicode")
    return chr(number)
