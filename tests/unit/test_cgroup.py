"""The owner of a process, from its /proc/<pid>/cgroup in every layout."""

from pathlib import Path

import pytest

from drainmon.pods.cgroup import Owner, parse_owner

FIXTURES = Path(__file__).parent.parent / "fixtures" / "cgroup"

ID = "9ae383f0839c4a840a2d62f5d99613c8bddb1aa689292b1ba4c6eff211e0f216"
NODE = "8d461fa5765781bcf5f7eb192f101bc3103d4b932e26236f43feecfa20664f96"
OTHER = "0" * 64
UID = "1b5c81bc-6dce-4cf0-aef1-f92948380bdb"
STATIC = "3efbb69a2b2495cb8447322f0e61d0f0"
VICTIM = "2c48913c-b29f-11e7-9350-020968147796"

POD = {
    "v2-cgroupfs-besteffort",
    "v2-cgroupfs-guaranteed",
    "v1-cgroupfs-burstable",
    "hybrid-cgroupfs-burstable",
    "v2-systemd-containerd-burstable",
    "v2-systemd-containerd-besteffort",
    "v2-systemd-containerd-guaranteed",
    "v1-systemd-containerd",
    "v1-mixed-drivers",
    "v2-systemd-docker",
    "v2-systemd-crio",
    "v2-systemd-crio-crun",
    "v2-systemd-crio-conmon",
    "v1-cgroupfs-crio",
    "v2-kind",
    "v1-kind",
    "v2-kind-from-inside",
    "v2-k3d",
    "v2-k3s-rootless",
    "v2-cgroup-root",
    "v2-namespace-same-class",
    "v2-namespace-other-class",
}
STATIC_POD = {"v2-cgroupfs-static", "v2-systemd-static"}
CONTAINER = {
    "v1-crio-conmon-in-system",
    "v1-docker",
    "v2-docker-cgroupfs",
    "v2-docker-systemd",
    "v2-podman",
    "v2-podman-cgroupfs",
    "v2-podman-conmon",
    "v2-podman-rootless",
    "v2-podman-pod",
    "v2-podman-pod-cgroupfs",
    "v2-namespace-same-pod",
}
UNIT = {
    "v2-namespace-host-service": "nginx.service",
    "v2-service": "nginx.service",
    "v2-service-template": "nginx@web.service",
    "v2-service-delegated": "web.service",
    "v1-service": "nginx.service",
    "v2-user-service": "user@1000.service",
    "v2-session": "session-4.scope",
}
WITHIN = {
    "v1-mixed-drivers": "/system.slice/containerd.service",
    "v2-kind": f"/system.slice/docker-{NODE}.scope",
    "v1-kind": f"/docker/{NODE}",
    "v2-k3d": f"/docker/{NODE}",
    "v2-k3s-rootless": "/user.slice/user-1000.slice/user@1000.service",
}


@pytest.mark.parametrize("name", sorted(path.stem for path in FIXTURES.glob("*.txt")))
def test_the_owner_is_found_in_every_layout(name: str) -> None:
    owner = parse_owner((FIXTURES / f"{name}.txt").read_text())
    uid = UID if name in POD else STATIC if name in STATIC_POD else None
    assert owner.pod_uid == uid
    assert owner.container_id == (ID if uid or name in CONTAINER else None)
    assert owner.unit == UNIT.get(name)
    assert owner.within == WITHIN.get(name, "")
    assert owner.contained == (uid is not None or name in CONTAINER)


def test_an_owners_root_ends_with_the_deciding_folder() -> None:
    def root(name: str) -> str:
        return parse_owner((FIXTURES / f"{name}.txt").read_text()).root

    assert root("v2-cgroupfs-besteffort") == f"/kubepods/besteffort/pod{UID}"
    assert root("v2-podman") == f"/machine.slice/libpod-{ID}.scope"
    assert root("v2-service-delegated") == "/system.slice/web.service"
    assert root("v2-no-systemd") == root("hybrid-root") == ""


FAKE = f"/kubepods/burstable/pod{VICTIM}/{OTHER}"


@pytest.mark.parametrize("name", sorted(POD))
def test_a_pod_cannot_pose_as_another_by_a_nested_cgroup(name: str) -> None:
    text = (FIXTURES / f"{name}.txt").read_text()
    assert parse_owner(text.replace(ID, ID + FAKE)) == parse_owner(text)


def test_nested_cgroups_give_a_pod_no_container_id() -> None:
    owner = parse_owner(f"0::/kubepods/pod{UID}/web{FAKE}\n")
    assert owner == Owner(UID, root=f"/kubepods/pod{UID}")


def test_a_container_that_poses_as_a_pod_is_told_apart() -> None:
    claim = parse_owner(f"0::/system.slice/docker-{ID}.scope{FAKE}\n")
    victim = parse_owner(f"0::{FAKE}\n")
    assert claim.root.startswith(f"/system.slice/docker-{ID}.scope/")
    assert claim.root != victim.root == f"/kubepods/burstable/pod{VICTIM}"
    assert claim.within == f"/system.slice/docker-{ID}.scope"


def test_a_container_cannot_pose_as_a_service_of_the_host() -> None:
    assert parse_owner(f"0::/docker/{ID}/system.slice/nginx.service\n").unit is None
    assert parse_owner("0::/lxc.payload.web/system.slice/nginx.service\n") == Owner()


@pytest.mark.parametrize(
    "lines",
    [
        (f"/kubepods/pod{UID}/{ID}", f"/kubepods/pod{VICTIM}/{OTHER}"),
        (f"/docker/{ID}", f"/docker/{OTHER}"),
        (f"/docker/{ID}", FAKE),
        (f"/kubepods/pod{UID}/{ID}", f"/kubepods/pod{UID}/{OTHER}"),
    ],
)
def test_contradicting_hierarchies_give_no_owner(lines: tuple[str, str]) -> None:
    texts = {f"2:cpu:{a}\n1:pids:{b}\n" for a, b in (lines, lines[::-1])}
    owners = {parse_owner(text) for text in texts}
    assert len(owners) == 1
    (owner,) = owners
    assert owner.contained
    assert (owner.pod_uid, owner.container_id, owner.unit) == (None, None, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "0::\n",
        "nonsense\n",
        "0:/kubepods\n",
        f"0::kubepods/pod{UID}/x\n",
        f"0::/kubepods/pod{UID[:-1]}/x\n",
        f"0::/kubepods/pod{UID}0/x\n",
        f"0::/kubepods/pod{UID.upper()}/x\n",
        f"0::/kubepods/pod{UID.replace('-', '_', 1)}/x\n",
        f"0::/kubepods/{UID}/x\n",
        f"0::/kubepods-pod{UID}.slice.d/x\n",
        f"0::/{ID}{ID}\n",
        f"0::/{ID[:-1]}\n",
        "0::/system.slice/ngi nx.service\n",
        "0::/kubepods.slice\n",
    ],
)
def test_similar_paths_give_no_owner(text: str) -> None:
    assert parse_owner(text) == Owner()


def test_an_unreadable_line_does_not_hide_the_others() -> None:
    assert parse_owner(f"\ufffd\n3:\n0::/kubepods/pod{UID}/{ID}\n").pod_uid == UID
