"""The template environment of all pages."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_eval_context
from jinja2.filters import do_xmlattr
from jinja2.nodes import EvalContext

from services.console.site.static_files import static_url
from services.console.words.formats import FILTERS
from services.console.words.labels import label, options
from services.console.words.technical_reasons import unreadable_words, unsent_words

_CONSOLE = Path(__file__).parents[1]


@cache
def environment() -> Environment:
    """Return the environment with all templates: `layout.html`, `components/…`, `<page>/….html`."""
    templates = Environment(
        loader=FileSystemLoader([_CONSOLE / "site" / "templates", _CONSOLE / "pages"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(FILTERS)
    templates.filters["xmlattr"] = attributes
    templates.filters["label"] = label
    templates.filters["unreadable_words"] = unreadable_words
    templates.filters["unsent_words"] = unsent_words
    templates.globals["static_url"] = static_url
    templates.globals["label_options"] = options
    return templates


@pass_eval_context
def attributes(context: EvalContext, values: Mapping[str, Any]) -> str:
    """Return HTML attributes. An attribute that is False is left out: `autofocus="False"` would still set it."""
    return do_xmlattr(
        context, {name: "" if value is True else value for name, value in values.items() if value is not False}
    )


def render(template: str, **values: Any) -> str:
    """Return the HTML of a template."""
    return environment().get_template(template).render(**values)
