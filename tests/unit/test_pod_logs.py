"""Names of pods by the folders of their logs."""

from pathlib import Path

import pytest

from drainmon.pods.cgroup import Owner
from drainmon.pods.identity import Identity
from drainmon.pods.pod_logs import PodLogs, parse_names, read_names

UID = "1b5c81bc-6dce-4cf0-aef1-f92948380bdb"
STATIC = "3efbb69a2b2495cb8447322f0e61d0f0"


def test_names_are_parsed_from_log_folders() -> None:
    names = parse_names([f"shop_web-7d4b9_{UID}", f"kube-system_etcd-node.example_{STATIC}"])
    assert names == {UID: ("shop", "web-7d4b9"), STATIC: ("kube-system", "etcd-node.example")}


@pytest.mark.parametrize(
    "folder",
    [
        "",
        "lost+found",
        UID,
        f"web_{UID}",
        f"shop_web_{UID}_",
        f"shop_web_x_{UID}",
        f"_web_{UID}",
        f"shop__{UID}",
        "shop_web_",
        "shop_web_not-a-uid",
        f"shop_web_{UID}\n",
        f"Shop_web_{UID}",
        f"shop_we/b_{UID}",
        f"shop_../etc_{UID}",
        f"shop_-web_{UID}",
        f"shop_web-_{UID}",
        f"shop_web..x_{UID}",
        f"sh.op_web_{UID}",
        f'shop_web"x_{UID}',
        f"shop_w\x1b[2Jeb_{UID}",
        f"shop_w\u0435b_{UID}",
        f"{'s' * 64}_web_{UID}",
        f"shop_{'w.' * 126}xx_{UID}",
        f"shop_web_{UID}0",
    ],
)
def test_other_folders_give_no_name(folder: str) -> None:
    assert parse_names([folder]) == {}


def test_two_pods_with_one_uid_have_no_name() -> None:
    folders = [f"shop_web_{UID}", f"bank_vault_{UID}", f"shop_third_{UID}"]
    assert parse_names(folders) == {}


def test_a_missing_folder_gives_no_names(tmp_path: Path) -> None:
    assert read_names(tmp_path / "nowhere") == {}
    (tmp_path / "file").touch()
    assert read_names(tmp_path / "file") == {}


def test_files_and_links_give_no_names(tmp_path: Path) -> None:
    (tmp_path / f"shop_file_{STATIC}").touch()
    (tmp_path / f"shop_link_{UID}").symlink_to("/")
    assert read_names(tmp_path) == {}


class Logs:
    """A folder of logs, and a daemon with this owner."""

    def __init__(self, folder: Path, own: Owner) -> None:
        (folder / f"shop_web_{UID}").mkdir()
        self.folder = folder
        self.logs = PodLogs(folder, own)

    def label(self, within: str = "", uid: str = UID) -> str:
        return self.logs.identify(Owner(uid, "id", root=f"{within}/pod{uid}", within=within)).label


def test_the_folder_is_read_again_for_a_new_pod(tmp_path: Path) -> None:
    logs = Logs(tmp_path, Owner())
    assert logs.label() == "shop/web"
    (tmp_path / f"shop_web_{UID}").rmdir()
    assert logs.label() == "shop/web"
    assert logs.label(uid=STATIC) == STATIC
    (tmp_path / f"shop_new_{STATIC}").mkdir()
    assert logs.label(uid=STATIC) == "shop/new"


def test_a_container_that_poses_as_a_pod_gets_no_name(tmp_path: Path) -> None:
    assert Logs(tmp_path, Owner()).label(within="/docker/0") == UID


@pytest.mark.parametrize(
    "own",
    [
        Owner(UID, "id", root="/docker/0/kubepods/poda", within="/docker/0"),
        Owner(container_id="0", root="/docker/0"),
    ],
)
def test_pods_of_the_daemons_own_nested_node_have_names(tmp_path: Path, own: Owner) -> None:
    logs = Logs(tmp_path, own)
    assert logs.label(within="/docker/0") == "shop/web"
    assert logs.label(within="/docker/1") == UID


@pytest.mark.parametrize(
    ("identity", "label"),
    [
        (Identity("shop", "web", "uid", "id", ""), "shop/web"),
        (Identity("", "", "uid", "id", ""), "uid"),
        (Identity("", "", "", "id", ""), "id"),
        (Identity(unit="nginx.service"), "nginx.service"),
        (Identity(), ""),
    ],
)
def test_a_label_is_the_best_known_name(identity: Identity, label: str) -> None:
    assert identity.label == label
