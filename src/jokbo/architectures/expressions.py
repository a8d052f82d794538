"""The small expressions that family files write over configuration keys.

Family files are data, and a configuration is hostile, so nothing is evaluated
by Python: an expression is parsed, and only the nodes listed here mean anything.
``a | b`` reads "a, or b where the configuration does not say".
"""

from __future__ import annotations

import ast
import math
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from jokbo.errors import ArchitectureError

MAX_MAGNITUDE = 1 << 53
"""Beyond this no size of a real tensor lies, and floats stop counting by ones."""

MAX_TEXT = 200
"""Longest string that a configuration may hold where one is read."""

MAX_LIST = 4096
"""Longest list of layers that is searched; longer ones would make matching slow."""

Value = int | float | bool | str | None


@dataclass(frozen=True, slots=True)
class Scope:
    """What names mean inside one tower of one checkpoint.

    Attributes
    ----------
    where : str
        How messages call the place, such as ``config.json, text_config``.
    config, root : mapping
        The tower's part of the configuration, and all of it.
    defaults : mapping
        What the family's class takes when the configuration omits a key.
    sizes : dict
        Values computed so far; they hide configuration keys of the same name.
    conditions : mapping of str to str
        Named conditions of the tower, expressions that may depend on the layer.
    """

    where: str
    config: Mapping[str, object]
    root: Mapping[str, object]
    defaults: Mapping[str, object] = field(default_factory=dict)
    sizes: dict[str, Value] = field(default_factory=dict)
    conditions: Mapping[str, str] = field(default_factory=dict)

    def look_up(self, name: str) -> object:
        """The value of a bare name, None when nothing gives one."""
        if name in self.sizes:
            return self.sizes[name]
        if name == "root":
            return self.root
        if name in self.config:
            return self.config[name]
        return self.defaults.get(name)


def evaluate(text: str, scope: Scope, *, layer: int | None = None) -> Value:
    """Value of an expression; None when the configuration does not say.

    Parameters
    ----------
    text : str
        Names (also dotted), whole numbers, quoted words, ``+ - * // %``, comparisons,
        ``and or not in``, ``x if c else y``, ``name[index]``, ``count(list)`` and ``a | b``.
    scope : Scope
    layer : int, optional
        The stored layer number, for conditions that depend on it.

    Raises
    ------
    ArchitectureError
        The configuration holds the wrong kind of value, or the expression is not one of these.

    Examples
    --------
    >>> scope = Scope("config.json", {"hidden_size": 64, "num_attention_heads": 4}, {})
    >>> evaluate("head_dim | hidden_size // num_attention_heads", scope)
    16
    """
    value = _Walk(text, scope, layer).visit(parse(text).body)
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise _wrong(text, scope, value, "a short word")
        return value
    if value is None or isinstance(value, bool):
        return value
    return _number(value, text, scope)


def whole(text: str, scope: Scope, *, layer: int | None = None, maximum: int = MAX_MAGNITUDE) -> int:
    """Value of an expression that must be a whole number from 0 to `maximum`."""
    value = evaluate(text, scope, layer=layer)
    if isinstance(value, float):
        value = math.floor(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(text, scope, value, "a whole number")
    if not 0 <= value <= maximum:
        raise _wrong(text, scope, value, f"a whole number from 0 to {maximum:,}")
    return value


def word(text: str, scope: Scope, *, choices: tuple[str, ...] = ()) -> str:
    """Value of an expression that must be a short string, one of `choices` when given."""
    value = evaluate(text, scope)
    if not isinstance(value, str) or (choices and value not in choices):
        raise _wrong(text, scope, value, "one of " + ", ".join(choices) if choices else "a word")
    return value


def truth(text: str, scope: Scope, *, layer: int | None = None) -> bool:
    """Whether a condition holds; a missing key counts as no."""
    return bool(evaluate(text, scope, layer=layer))


def _wrong(text: str, scope: Scope, value: object, expected: str) -> ArchitectureError:
    return ArchitectureError(
        f"{scope.where}: {text!r} gives {reprlib.repr(value)}; expected {expected}. "
        "Correct the configuration, or leave it away."
    )


def _number(value: object, text: str, scope: Scope) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong(text, scope, value, "a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise _wrong(text, scope, value, "a finite number")
    if abs(value) > MAX_MAGNITUDE:
        raise _wrong(text, scope, value if isinstance(value, float) else "a huge number", "a possible size")
    return value


@lru_cache(maxsize=4096)
def parse(text: str) -> ast.Expression:
    """The syntax tree of an expression; cached, since families repeat them."""
    try:
        return ast.parse(text, mode="eval")
    except (SyntaxError, ValueError) as error:
        raise ArchitectureError(
            f"family file: {text!r} is not an expression ({error}). Correct the file."
        ) from error


@lru_cache(maxsize=4096)
def uses_layer(text: str) -> bool:
    """Whether the value depends on the layer."""
    return any(isinstance(node, ast.Name) and node.id == "layer" for node in ast.walk(parse(text)))


_ARITHMETIC: dict[type[ast.operator], Callable[[int | float, int | float], int | float]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
}
_ORDER: dict[type[ast.cmpop], Callable[[int | float, int | float], bool]] = {
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
}


@dataclass(frozen=True, slots=True)
class _Walk:
    text: str
    scope: Scope
    layer: int | None

    def visit(self, node: ast.expr) -> object:
        handler = _HANDLERS.get(type(node))
        if handler is None:
            raise ArchitectureError(
                f"family file: {self.text!r} uses {type(node).__name__}, which expressions do not have. "
                "Correct the file."
            )
        return handler(self, node)

    def name(self, node: ast.Name) -> object:
        if node.id == "layer":
            return self.layer
        condition = self.scope.conditions.get(node.id)
        if condition is not None:
            return truth(condition, self.scope, layer=self.layer)
        return self.scope.look_up(node.id)

    def attribute(self, node: ast.Attribute) -> object:
        holder = self.visit(node.value)
        return holder.get(node.attr) if isinstance(holder, Mapping) else None

    def subscript(self, node: ast.Subscript) -> object:
        holder, index = self.visit(node.value), self.visit(node.slice)
        if holder is None or index is None:
            return None
        if not isinstance(holder, list) or not isinstance(index, int) or not 0 <= index < len(holder):
            raise _wrong(self.text, self.scope, holder, f"a list with an item {index}")
        return holder[index]

    def binary(self, node: ast.BinOp) -> object:
        left = self.visit(node.left)
        if isinstance(node.op, ast.BitOr):
            return self.visit(node.right) if left is None else left
        right = self.visit(node.right)
        operator = _ARITHMETIC.get(type(node.op))
        if operator is None:
            raise ArchitectureError(
                f"family file: {self.text!r} uses an operator that expressions do not have."
            )
        if left is None or right is None:
            return None
        a, b = self.operand(node.left, left), self.operand(node.right, right)
        if b == 0 and isinstance(node.op, (ast.FloorDiv, ast.Mod)):
            raise _wrong(self.text, self.scope, "a division by 0", "a divisor of at least 1")
        return _number(operator(a, b), self.text, self.scope)

    def operand(self, node: ast.expr, value: object) -> int | float:
        if type(value) is int and -MAX_MAGNITUDE <= value <= MAX_MAGNITUDE:
            return value
        return _number(value, ast.unparse(node), self.scope)

    def boolean(self, node: ast.BoolOp) -> object:
        if isinstance(node.op, ast.And):
            return all(bool(self.visit(value)) for value in node.values)
        return any(bool(self.visit(value)) for value in node.values)

    def unary(self, node: ast.UnaryOp) -> object:
        value = self.visit(node.operand)
        if isinstance(node.op, ast.Not):
            return not value
        raise ArchitectureError(f"family file: {self.text!r} uses an operator that expressions do not have.")

    def compare(self, node: ast.Compare) -> object:
        if len(node.ops) != 1:
            raise ArchitectureError(f"family file: {self.text!r} chains comparisons; write them with 'and'.")
        left, right, op = self.visit(node.left), self.visit(node.comparators[0]), node.ops[0]
        if isinstance(op, (ast.Eq, ast.NotEq)):
            return (left == right) is isinstance(op, ast.Eq)
        if isinstance(op, (ast.In, ast.NotIn)):
            if isinstance(right, list) and len(right) > MAX_LIST:
                raise _wrong(self.text, self.scope, right, f"a list of at most {MAX_LIST:,}")
            inside = isinstance(right, list) and left in right
            return inside is isinstance(op, ast.In)
        if left is None or right is None or type(op) not in _ORDER:
            return False
        return _ORDER[type(op)](self.operand(node.left, left), self.operand(node.comparators[0], right))

    def call(self, node: ast.Call) -> object:
        if (
            not isinstance(node.func, ast.Name)
            or node.func.id != "count"
            or len(node.args) != 1
            or node.keywords
        ):
            raise ArchitectureError(f"family file: {self.text!r} calls something other than count(list).")
        value = self.visit(node.args[0])
        if value is not None and not isinstance(value, list):
            raise _wrong(self.text, self.scope, value, "a list")
        return None if value is None else len(value)

    def choice(self, node: ast.IfExp) -> object:
        return self.visit(node.body if self.visit(node.test) else node.orelse)


_HANDLERS: dict[type[ast.expr], Callable[[_Walk, ast.expr], object]] = {
    ast.Constant: lambda walk, node: node.value,  # type: ignore[attr-defined]
    ast.Name: _Walk.name,  # type: ignore[dict-item]
    ast.Attribute: _Walk.attribute,  # type: ignore[dict-item]
    ast.Subscript: _Walk.subscript,  # type: ignore[dict-item]
    ast.BinOp: _Walk.binary,  # type: ignore[dict-item]
    ast.BoolOp: _Walk.boolean,  # type: ignore[dict-item]
    ast.UnaryOp: _Walk.unary,  # type: ignore[dict-item]
    ast.Compare: _Walk.compare,  # type: ignore[dict-item]
    ast.Call: _Walk.call,  # type: ignore[dict-item]
    ast.IfExp: _Walk.choice,  # type: ignore[dict-item]
}
