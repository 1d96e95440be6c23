"""`drainmon check`: its text, its JSON, its flags."""

import json
from pathlib import Path

import pytest

from drainmon.cli import check_view, main
from drainmon.facts.fact import Fact, Group, Status, Verdict

FACTS = (
    Fact(Group.HOST, "kernel", Status.OK, "Linux 5.10.0"),
    Fact(Group.CORE, "BTF", Status.MISSING, "none", "needs CONFIG_DEBUG_INFO_BTF"),
    Fact(Group.CORE, "libbpf", Status.UNKNOWN, "who knows"),
    Fact(Group.BCC, "tracepoint", Status.DEGRADED, "not mounted", "mount it"),
)
DEGRADED = Verdict("bcc", FACTS)


def test_check_prints_a_line_per_fact_and_the_choice_last() -> None:
    assert check_view.as_lines(DEGRADED, colour=False).splitlines() == [
        "the host",
        "  ok        kernel      Linux 5.10.0",
        "",
        "source core",
        "  missing   BTF         none; needs CONFIG_DEBUG_INFO_BTF",
        "  unknown   libbpf      who knows",
        "",
        "source bcc",
        "  degraded  tracepoint  not mounted; mount it",
        "",
        "would use: bcc (degraded: BTF, tracepoint)",
    ]


def test_check_reports_an_unusable_host() -> None:
    assert check_view.as_lines(Verdict(None, FACTS), colour=False).endswith(
        "\nwould use: none (unusable: BTF, tracepoint)"
    )


def test_check_reports_a_good_host() -> None:
    facts = (FACTS[0], Fact(Group.BCC, "tracepoint", Status.NOTE, "not mounted"))
    lines = check_view.as_lines(Verdict("core", facts), colour=False)
    assert lines.endswith("\nwould use: core")
    assert "degraded" not in lines
    assert json.loads(check_view.as_document(Verdict("core", facts)))["degraded"] is False


def test_every_group_has_a_title_and_every_status_a_colour() -> None:
    facts = [Fact(group, "x", status, "y") for group in Group for status in Status]
    assert check_view.as_lines(Verdict("bcc", tuple(facts)), colour=True).count("\033[0m") == len(
        facts
    )


def test_check_prints_json() -> None:
    document = json.loads(check_view.as_document(DEGRADED))
    assert (document["usable"], document["degraded"], document["source"]) == (True, True, "bcc")
    assert document["facts"][1] == {
        "group": "core",
        "name": "BTF",
        "status": "missing",
        "found": "none",
        "advice": "needs CONFIG_DEBUG_INFO_BTF",
    }
    assert json.loads(check_view.as_document(Verdict(None, FACTS)))["usable"] is False


@pytest.mark.parametrize(
    ("environment", "argv", "as_json", "pod_logs"),
    [
        ({}, [], False, "/var/log/pods"),
        ({}, ["--json", "--pod-logs", "/x"], True, "/x"),
        ({"DRAINMON_JSON": "true", "DRAINMON_POD_LOGS": "/y"}, [], True, "/y"),
        ({"DRAINMON_JSON": "0"}, [], False, "/var/log/pods"),
    ],
)
def test_flags_are_environment_variables_too(
    environment: dict[str, str], argv: list[str], as_json: bool, pod_logs: str
) -> None:
    arguments = main.make_parser(environment).parse_args(["check", *argv])
    assert (arguments.json, arguments.pod_logs) == (as_json, Path(pod_logs))
