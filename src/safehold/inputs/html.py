"""HTML of strangers: what is not allowed is taken out, by the parser of nh3 (ammonia).

Allowed are the elements and attributes below and links to http, https and mailto. There are no
scripts, styles, classes, ids, forms, frames or pictures: ids and names would take the place of
variables of the page, and pictures tell whoever they come from who reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from safehold.errors import InputRefused, MissingExtra
from safehold.inputs._schema import checked
from safehold.inputs.rules import REFUSED

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

ELEMENTS: Final = frozenset(
    """
    a abbr b blockquote br caption cite code dd del dfn div dl dt em h1 h2 h3 h4 h5 h6 hr i ins kbd
    li ol p pre q s samp small span strong sub sup table tbody td tfoot th thead tr u ul var
    """.split()
)
ATTRIBUTES: Final = {
    "a": frozenset(("href", "title")),
    "abbr": frozenset(("title",)),
    "ol": frozenset(("start",)),
    "td": frozenset(("colspan", "rowspan")),
    "th": frozenset(("colspan", "rowspan", "scope")),
}
SCHEMES: Final = frozenset(("http", "https", "mailto"))
_REL: Final = "noopener noreferrer nofollow ugc"
_WITH_CONTENT: Final = frozenset(
    "script style iframe noscript noembed noframes template object svg math textarea title".split()
)


def clean_html(text: str, most: int = 100_000) -> str:
    """Return HTML of which only what is allowed is left; the rest of the text stays.

    Raises:
        InputRefused: it is longer than `most` characters. MissingExtra: nh3 is not installed.
    """
    if len(text) > most:
        raise InputRefused(f"this is longer than {most} characters", rule=REFUSED.id)
    try:
        import nh3
    except ModuleNotFoundError as error:
        raise MissingExtra("nh3", "inputs") from error
    return nh3.clean(
        text,
        tags=set(ELEMENTS),
        attributes={name: set(found) for name, found in ATTRIBUTES.items()},
        url_schemes=set(SCHEMES),
        clean_content_tags=set(_WITH_CONTENT),
        strip_comments=True,
        link_rel=_REL,
    )


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Metadata of `HTML`, for another length: ``Annotated[str, Cleaned(5000)]``."""

    max: int = 100_000

    def check(self, value: str) -> str:
        """Return the cleaned HTML; raise InputRefused where it is too long."""
        return clean_html(value, self.max)

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> CoreSchema:
        return checked(self.check, max_length=self.max)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> Any:
        found = handler(schema)
        found.setdefault("contentMediaType", "text/html")
        found.setdefault("description", f"Kept are {' '.join(sorted(ELEMENTS))}")
        return found


HTML = Annotated[str, Cleaned()]
"""HTML that may be put into a page as it is, between elements."""
