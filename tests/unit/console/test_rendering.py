"""Templates: attributes of elements."""

from services.console.site.rendering import environment


def test_false_attribute_is_omitted() -> None:
    template = environment().from_string(
        '<input{{ {"autofocus": false, "required": true, "maxlength": 3} | xmlattr }}>'
    )
    assert template.render() == '<input required="" maxlength="3">'
