"""Links between pages have a target."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

_LINK = re.compile(r"\]\(([^)\s]+)\)|\bsrc(?:set)?=\"([^\"]+)\"")
_HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
_FENCED = re.compile(r"^(```.*?^```|(?: {4}|\t).*?)$", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, named as by GitHub."""
    text = _FENCED.sub("", page.read_text())
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in _HEADING.findall(text)
    }


def links() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for target in map("".join, _LINK.findall(page.read_text())):
            if not re.match(r"[a-z]+:", target):
                yield page, target


@pytest.mark.parametrize(
    ("page", "target"), list(links()), ids=lambda value: getattr(value, "name", value)
)
def test_every_link_has_a_target(page: Path, target: str) -> None:
    path, _, anchor = target.partition("#")
    to = (page.parent / path).resolve() if path else page
    assert to.exists(), f"{page.name}: {target}"
    assert to.is_relative_to(ROOT)
    if anchor:
        assert anchor in anchors(to), f"{page.name}: {target}"


def test_every_page_is_linked() -> None:
    reached = {(page.parent / target.partition("#")[0]).resolve() for page, target in links()}
    lonely = {page.name for page in ROOT.glob("docs/**/*.md")} - {path.name for path in reached}
    assert lonely == set()
