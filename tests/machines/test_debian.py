"""The choice of a kernel in Debian's lists."""

import pytest

from tests.machines.debian import DebianError, newest_first, parse_packages

LISTS = """\
Package: linux-image-6.1.0-9-cloud-amd64
Version: 6.1.99-1
Depends: kmod, linux-base (>= 4.3~)
Description: Linux 6.1
 for clouds

Package: linux-image-6.1.0-57-cloud-amd64-unsigned
Version: 6.1.192-3

Package: linux-image-6.12.9+deb13-cloud-amd64
Version: 6.12.9-1
Depends: linux-binary-6.12.9+deb13-cloud-amd64 (= 6.12.9-1), linux-modules-6.12.9+deb13-cloud-amd64

Package: linux-image-6.12.8+deb13-cloud-amd64
Version: 6.12.8-1
"""
NAMES = {package["Package"] for package in parse_packages(LISTS)}


def versions(begin: str, names: set[str]) -> list[str]:
    found = newest_first(begin, parse_packages(LISTS), names)
    return [package["Version"] for package in found]


def test_versions_are_in_the_order_of_their_numbers() -> None:
    assert versions("6.1", NAMES) == ["6.1.192-3", "6.1.99-1"]


def test_a_kernel_whose_parts_are_gone_is_not_chosen() -> None:
    assert versions("6.12", NAMES) == ["6.12.8-1"]
    parts = {f"linux-{part}-6.12.9+deb13-cloud-amd64" for part in ("binary", "modules")}
    assert versions("6.12", NAMES | parts) == ["6.12.9-1", "6.12.8-1"]


def test_an_unknown_version_is_an_error() -> None:
    with pytest.raises(DebianError, match=r"cannot find kernel 6\.11: no suite of Debian has it"):
        versions("6.11", NAMES)
