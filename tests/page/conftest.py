"""A browser, and the page of a node with three pods."""

from collections.abc import Iterator

import pytest

from tests.page.browser import Browser
from tests.page.site import Site, opened


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def site(browser: Browser) -> Iterator[Site]:
    with opened(browser, "shop/web-1", "shop/web-2", "api/gateway-0") as site:
        yield site
