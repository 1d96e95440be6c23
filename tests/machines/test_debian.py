"""The choice of a kernel in Debian's lists."""

import pytest

from tests.machines.debian import DebianError, newest, parse_packages

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


def test_the_newest_version_is_chosen_by_number() -> None:
    assert newest("6.1", parse_packages(LISTS), NAMES)["Version"] == "6.1.192-3"


def test_a_kernel_whose_parts_are_gone_is_not_chosen() -> None:
    assert newest("6.12", parse_packages(LISTS), NAMES)["Version"] == "6.12.8-1"
    parts = {f"linux-{part}-6.12.9+deb13-cloud-amd64" for part in ("binary", "modules")}
    assert newest("6.12", parse_packages(LISTS), NAMES | parts)["Version"] == "6.12.9-1"


def test_an_unknown_version_is_an_error() -> None:
    with pytest.raises(DebianError, match=r"cannot find kernel 6\.11: no suite of Debian has it"):
        newest("6.11", parse_packages(LISTS), NAMES)
