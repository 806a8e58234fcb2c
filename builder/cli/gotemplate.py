"""--format: Go templates over what a command shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from builder.cli.gotemplate_syntax import (
    Action,
    Branch,
    Chain,
    Command,
    Function,
    Jump,
    Literal,
    Node,
    Operand,
    Pipeline,
    Range,
    TemplateError,
    Text,
    parse_template,
    unescaped,
)
from builder.cli.gotemplate_values import FUNCTIONS, Fields, Value, is_true, shown, to_json
from builder.cli.table import table

_LAZY = frozenset({"and", "or"})


class Template:
    """A template that was read; renders any number of values."""

    def __init__(self, text: str) -> None:
        self._nodes = parse_template(text, _LAZY | FUNCTIONS.keys())

    def render(self, value: Value) -> str:
        """The text for one value; TemplateError where the template asks for what it hasn't."""
        run = _Run(value)
        run.show(self._nodes, value)
        return "".join(run.output)


def format_rows(template: str, rows: Iterable[Fields], headings: Fields) -> str:
    """Rows as docker's --format shows them: a line each.

    `table TEMPLATE` puts `headings` over them in columns; `json` shows all of a row.
    """
    if template == "json":
        return "".join(f"{to_json(row)}\n" for row in rows)
    is_table = template.startswith("table ")
    parsed = Template(_with_escapes(template.removeprefix("table ") if is_table else template))
    if not is_table:
        return "".join(f"{parsed.render(row)}\n" for row in rows)
    lines = [parsed.render(headings), *(parsed.render(row) for row in rows)]
    cells = [line.split("\t") for line in lines]
    width = max(map(len, cells))
    return table([*cell, *[""] * (width - len(cell))] for cell in cells)


def format_value(template: str, value: Value) -> str:
    """One value as `inspect --format` shows it, with the newline after it."""
    if template == "json":
        return f"{to_json(value)}\n"
    return f"{Template(template).render(value)}\n"


def _with_escapes(template: str) -> str:
    """The shell passes escapes of tab and newline on; docker takes them for what they mean."""
    return template.replace("\\t", unescaped("\\t")).replace("\\n", unescaped("\\n"))


class _Leave(Exception):  # noqa: N818 - no error: `break` and `continue` on their way out
    def __init__(self, *, leaves: bool) -> None:
        super().__init__()
        self.leaves = leaves


class _Run:
    """One rendering: the output so far and the variables."""

    def __init__(self, root: Value) -> None:
        self.output: list[str] = []
        self._scopes: list[dict[str, Value]] = [{"$": root}]

    def show(self, nodes: Sequence[Node], dot: Value) -> None:
        """Render nodes in a scope of their own."""
        self._scopes.append({})
        try:
            for node in nodes:
                self._show_one(node, dot)
        finally:
            self._scopes.pop()

    def _show_one(self, node: Node, dot: Value) -> None:
        match node:
            case Text():
                self.output.append(node.text)
            case Action():
                value = self._value(node.pipeline, dot)
                if not node.pipeline.variables:
                    self.output.append(shown(value))
            case Branch():
                self._branch(node, dot)
            case Range():
                self._range(node, dot)
            case Jump():
                raise _Leave(leaves=node.leaves)

    def _branch(self, node: Branch, dot: Value) -> None:
        self._scopes.append({})
        value = self._value(node.pipeline, dot)
        if is_true(value):
            self.show(node.body, value if node.sets_dot else dot)
        else:
            self.show(node.otherwise, dot)
        self._scopes.pop()

    def _range(self, node: Range, dot: Value) -> None:
        names = node.pipeline.variables
        items = _items(self._commands(node.pipeline, dot))
        for key, item in items:
            self._scopes.append(
                dict(zip(names, (key, item)[-len(names) :], strict=True)) if names else {}
            )
            try:
                self.show(node.body, item)
            except _Leave as leave:
                if leave.leaves:
                    break
            finally:
                self._scopes.pop()
        if not items:
            self.show(node.otherwise, dot)

    def _value(self, pipeline: Pipeline, dot: Value) -> Value:
        value = self._commands(pipeline, dot)
        for name in pipeline.variables:
            scope = self._scopes[-1] if pipeline.declares else self._scope_of(name)
            scope[name] = value
        return value

    def _scope_of(self, name: str) -> dict[str, Value]:
        for scope in reversed(self._scopes):
            if name in scope:
                return scope
        raise TemplateError(f"the template has no variable {name}")

    def _commands(self, pipeline: Pipeline, dot: Value) -> Value:
        value = self._command(pipeline.commands[0], dot, ())
        for command in pipeline.commands[1:]:
            value = self._command(command, dot, (value,))
        return value

    def _command(self, command: Command, dot: Value, piped: tuple[Value, ...]) -> Value:
        first, *rest = command.operands
        if isinstance(first, Function) and first.name in _LAZY:
            return self._lazy(first.name == "and", rest, dot, piped)
        arguments = (*(self._operand(operand, dot) for operand in rest), *piped)
        match first:
            case Function():
                return _called(first.name, arguments)
            case Chain():
                return self._chain(first, dot, arguments)
            case Literal():
                if arguments:
                    raise TemplateError("the template calls a constant")
                return first.value

    def _lazy(
        self, wants_true: bool, operands: Sequence[Operand], dot: Value, piped: tuple[Value, ...]
    ) -> Value:
        value: Value = None
        for operand in operands:
            value = self._operand(operand, dot)
            if is_true(value) is not wants_true:
                return value
        return piped[0] if piped else value

    def _operand(self, operand: Operand, dot: Value) -> Value:
        return self._command(Command((operand,)), dot, ())

    def _chain(self, chain: Chain, dot: Value, arguments: tuple[Value, ...]) -> Value:
        match chain.start:
            case ".":
                value = dot
            case str():
                value = self._scope_of(chain.start)[chain.start]
            case _:
                value = self._commands(chain.start, dot)
        for position, name in enumerate(chain.fields):
            is_last = position == len(chain.fields) - 1
            value = _field(value, name, arguments if is_last else ())
        if arguments and not chain.fields:
            raise TemplateError("the template gives arguments to what is no function")
        return value


def _field(value: Value, name: str, arguments: tuple[Value, ...]) -> Value:
    if value is None:
        raise TemplateError(f"nil has no field {name}")
    if not isinstance(value, dict):
        raise TemplateError(f"{shown(value)} has no field {name}")
    fields = cast("dict[str, Value]", value)
    if isinstance(value, Fields) and name not in value:
        known = ", ".join(f".{field}" for field in value)
        raise TemplateError(f"there is no field .{name}", hint=f"there are {known}")
    found = fields.get(name)
    if callable(found):
        return _with_arguments(name, found, arguments)
    if arguments:
        raise TemplateError(f".{name} takes no arguments")
    return found


def _called(name: str, arguments: tuple[Value, ...]) -> Value:
    return _with_arguments(name, FUNCTIONS[name], arguments)


def _with_arguments(name: str, function: object, arguments: tuple[Value, ...]) -> Value:
    assert callable(function)
    try:
        value: Value = function(*arguments)
    except TypeError as error:
        raise TemplateError(f"{name} cannot take {len(arguments)} values") from error
    return value


def _items(value: Value) -> list[tuple[Value, Value]]:
    match value:
        case None:
            return []
        case dict() if not isinstance(value, Fields):
            return sorted(cast("dict[Value, Value]", value).items(), key=lambda item: str(item[0]))
        case list() | tuple():
            return list(enumerate(cast("Sequence[Value]", value)))
        case int() if not isinstance(value, bool):
            return [(number, number) for number in range(value)]
        case _:
            raise TemplateError(f"range cannot go over {shown(value)}")
