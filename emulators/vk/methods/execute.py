"""Method execute: a script of calls that counts as one call for the limit per second."""

from dataclasses import dataclass
from typing import Any

from emulators.common.errors import RefusedError
from emulators.common.server import json_bytes
from emulators.vk.errors import vk_error
from emulators.vk.methods.method_table import METHODS, MethodCall, check_token_and_count, method
from emulators.vk.vkscript.interpreter import Interpreter, Limits
from emulators.vk.vkscript.parser import CompileError, parse
from emulators.vk.vkscript.values import ScriptError, to_text

_EXECUTE_PARAMS = frozenset({"access_token", "code", "v"})
MAX_ANSWER = 5 * 1024 * 1024


@dataclass(frozen=True)
class ExecuteResult:
    """The value that a script returned, and the inner calls that failed."""

    response: Any
    errors: list[dict[str, Any]]


@method("execute", "UG")
def execute(call: MethodCall) -> ExecuteResult:
    """Run the script in `code`; raises error 12 if it does not compile, 13 if it fails."""
    code = call.text("code")
    if not code.strip():
        raise vk_error(100, "code is empty")
    settings, errors = call.world.settings, []

    def api(name: str, params: dict[str, Any]) -> Any:
        try:
            return _inner(call, name, {key: to_text(value) for key, value in params.items() if value is not None})
        except RefusedError as error:
            errors.append({"method": name, "error_code": error.code, "error_msg": error.message})
            return None if settings.execute_failed_value == "null" else False

    given = {name: value for name, value in call.params.items() if name not in _EXECUTE_PARAMS}
    script = Interpreter(api, Limits(settings.execute_calls, settings.execute_operations), {"Args": given})
    try:
        response = script.run(parse(code))
    except CompileError as error:
        raise vk_error(12, str(error)) from error
    except ScriptError as error:
        raise vk_error(13, str(error)) from error
    try:
        size = len(json_bytes(response))
    except (RecursionError, ValueError) as error:
        raise vk_error(13, "Nested too deeply") from error
    if size > MAX_ANSWER:
        raise vk_error(13, "Response size is too big")
    return ExecuteResult(response, errors)


def _inner(call: MethodCall, name: str, params: dict[str, str]) -> Any:
    found = METHODS.get(name)
    if found is None or name == "execute":
        raise vk_error(3)
    # Clients send the solution of a captcha with the outer call.
    persistent_error = call.persistent_error(name, call.params)
    if persistent_error is not None:
        raise vk_error(persistent_error)
    check_token_and_count(call.world, call.token, found)
    return found.handler(MethodCall(call.world, call.token, params, call.persistent_error))
