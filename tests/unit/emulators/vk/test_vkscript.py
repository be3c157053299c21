"""VKScript: supported code runs, errors name their position or cause."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulators.vk.vkscript.interpreter import Interpreter, Limits
from emulators.vk.vkscript.parser import CompileError, parse
from emulators.vk.vkscript.values import ScriptError


def run(code: str, limits: Limits | None = None, **args: str) -> Any:
    """Run the code and return its result; API calls return their own name and parameters."""
    script = Interpreter(lambda name, params: {"name": name, **params}, limits or Limits(), {"Args": args})
    return script.run(parse(code))


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("return 1 + 2 * 3 - 4 / 2 % 3;", 5),
        ("return 'а' + 1 + \"б\";", "а1б"),
        ("return [1, 2.5, true, false, null, undefined, 'x',];", [1, 2.5, True, False, None, None, "x"]),
        ('return {"a": {b: [1]}, c: 2};', {"a": {"b": [1]}, "c": 2}),
        (r'return "\u0434\n\"\ud83d\udc4d\'";', "д\n\"👍'"),
        (r"return 'it\'s \"so\"';", 'it\'s "so"'),
        ("return API.wall.get({owner_id: -1}).owner_id;", -1),
        ("return API.users.get({user_ids: API.a.b({x: 1}).name}).user_ids;", "a.b"),
        ("return [{id: 1}, {id: 2}]@.id;", [1, 2]),
        ("var a = [1, 2, 3], i = 0, s = 0; while (i < a.length) { s = s + a[i]; i = i + 1; } return s;", 6),
        ("var a = {}; a.b = 1; a['c'] = 2; a.b += 4; delete a.c; return a;", {"b": 5}),
        ("if (0 == null) return 'no'; else if ([]) { return 'yes'; } return 'end';", "yes"),
        ("return (1 > 2 ? 'a' : 3 >= 3 && !0) || 5;", True),
        (
            "var a = [3]; a.push(4, 5); return [a.shift(), a.slice(1), a.indexOf(4), a.join('-')];",
            [3, [5], 0, "4-5"],
        ),
        ("return 'a,b'.split(',') + [1].concat([2], 3);", ["a", "b", 1, 2, 3]),
        ("return ['абв'.substr(1, 1), parseInt('12.7'), 'x' * 2, '2' == 2, 1 === 1];", ["б", 12, 0, True, True]),
        ("// a word\nreturn /* and */ Args.name;", "Школа"),
        ("var a;", None),
        ("return null.b;", None),
        ("return 1", 1),
        ("return 9007199254740993;", 9_007_199_254_740_993),
    ],
)
def test_scripts_return_expected_values(code: str, result: object) -> None:
    assert run(code, name="Школа") == result


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ("return [1, 2", "unexpected 'end of code' in line 1 [1:13]"),
        ("return 1;\n  return @;", "unexpected '@' in line 2 [2:10]"),
        ("var return = 1;", "unexpected 'return' in line 1 [1:5]"),
        ("1 = 2;", "unexpected '2'"),
        ("return 'open;", "unexpected '''"),
        ("return {1 2};", "unexpected '2'"),
        (r'return "\ud83d";', "in line 1 [1:8]"),
        ("return 1e999;", "unexpected '1e999'"),
        ("(" * 20_000, "nested too deeply"),
    ],
)
def test_compile_error_names_position(code: str, place: str) -> None:
    with pytest.raises(CompileError) as caught:
        parse(code)
    assert place in str(caught.value)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("while (true) {}", "Too many operations"),
        ("return [" + ",".join(["API.a.b()"] * 26) + "];", "Too many API calls"),
        ("return x;", "Unknown variable x"),
        ("return (5).slice(1);", "Method slice requires an array"),
        ("return [1].fold();", "Unknown method fold"),
        ("return [1].pop(1, 2);", "Wrong arguments of method pop"),
        ("return 1 / 0;", "Division by zero"),
        ("var a = 'x'; while (true) { a = a + a; }", "too long"),
        ("var a = 3; while (true) { a = a * a; }", "out of range"),
        ("var a = {}; a.a = a; return '' + a;", "Nested too deeply"),
        ("return x();", "Not a function"),
        ("var a = 1; a.b = 2;", "Cannot set"),
    ],
)
def test_runtime_error_names_cause(code: str, reason: str) -> None:
    with pytest.raises(ScriptError) as caught:
        run(code)
    assert reason in str(caught.value)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
        max_leaves=10,
    )
)
def test_any_json_is_accepted_as_a_value(value: object) -> None:
    assert run(f"return {json.dumps(value)};") == value
    assert run(f"return {json.dumps(value, ensure_ascii=False)};") == value
