"""Owners from cgroup paths: folders below the deciding one change nothing."""

import string

from hypothesis import given
from hypothesis import strategies as st

from drainmon.pods.cgroup import Owner, parse_owner

hexes = st.text("0123456789abcdef", min_size=64, max_size=64)
uids = st.uuids().map(str)


@st.composite
def pod_folders(draw: st.DrawFn) -> tuple[str, str]:
    """A pod's UID and the path to its cgroup, by any driver, on any node."""
    uid = draw(uids)
    quality = draw(st.sampled_from(["", "burstable", "besteffort"]))
    written = uid.replace("-", "_")
    if draw(st.booleans()):
        path = f"/kubepods/{quality}/pod{uid}".replace("//", "/")
    else:
        names = ["kubepods", *filter(None, [quality])]
        slices = ["-".join(names[: n + 1]) + ".slice" for n in range(len(names))]
        path = "/" + "/".join([*slices, f"{'-'.join(names)}-pod{written}.slice"])
    node = draw(st.one_of(st.none(), hexes))
    above = draw(st.sampled_from(["", "/..", "/../.."]))
    return uid, above + (f"/docker/{node}/kubelet" if node else "") + path


@st.composite
def container_names(draw: st.DrawFn) -> tuple[str, str]:
    container = draw(hexes)
    form = draw(st.sampled_from(["{}", "cri-containerd-{}.scope", "docker-{}.scope", "crio-{}"]))
    return container, form.format(container)


def lines(path: str) -> st.SearchStrategy[str]:
    """The text with this path, for v2 or for some v1 hierarchies."""
    v1 = f"2:memory:{path}\n1:name=systemd:{path}\n"
    return st.sampled_from([f"0::{path}\n", v1, f"{v1}0::{path}\n", f"{v1}0::/\n"])


names = st.text(string.ascii_lowercase + string.digits + "-_.:@ \u00e9", min_size=1, max_size=20)
hostile = st.lists(
    st.one_of(
        names,
        pod_folders().map(lambda pod: pod[1].strip("/")),
        container_names().map(lambda container: container[1]),
        st.just("system.slice/nginx.service"),
        st.just(".."),
    ),
    max_size=6,
).map(lambda parts: "".join(f"/{part}" for part in parts))


@given(pod_folders(), container_names(), hostile, st.data())
def test_the_outermost_pod_folder_decides_the_owner(
    pod: tuple[str, str], container: tuple[str, str], below: str, data: st.DataObject
) -> None:
    (uid, folder), (container_id, name) = pod, container
    owner = parse_owner(data.draw(lines(f"{folder}/{name}{below}")))
    assert (owner.pod_uid, owner.container_id, owner.unit) == (uid, container_id, None)
    assert owner.root == folder


@given(container_names(), hostile, pod_folders(), st.data())
def test_nested_cgroups_do_not_leave_their_container(
    container: tuple[str, str], below: str, victim: tuple[str, str], data: st.DataObject
) -> None:
    own = f"/machine.slice/{container[1]}"
    owner = parse_owner(data.draw(lines(own + below)))
    assert owner.contained
    assert owner.root == own or owner.root.startswith(f"{own}/")
    assert owner.root != parse_owner(f"0::{victim[1]}/x\n").root
    assert owner.pod_uid is None or owner.within == own


@given(hostile, st.data())
def test_nested_cgroups_do_not_leave_their_service(below: str, data: st.DataObject) -> None:
    own = "/system.slice/web.service"
    owner = parse_owner(data.draw(lines(own + below)))
    assert owner.root == own or owner.root.startswith(f"{own}/")
    assert owner.unit in (None, "web.service")


@given(st.text())
def test_any_text_has_an_owner(text: str) -> None:
    assert isinstance(parse_owner(text), Owner)


@given(st.text(st.characters(exclude_characters="\n")))
def test_an_owners_root_is_a_part_of_its_path(path: str) -> None:
    owner = parse_owner(f"0::/{path}\n")
    assert f"/{path}".startswith(owner.root)
    assert owner.root.startswith(owner.within)
