"""A unit is worked at by one worker; what a dead or silent one held is taken over."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from med2e3.study.leases import Leases, Owner, Result, own_process

UNITS = ("a", "b", "c")
RESULT = Result("part", "signature", failed=False)


@pytest.fixture
def ended() -> Owner:
    """A process of this machine that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return replace(own_process(), pid=process.pid)


def other(folder: Path, owner: Owner, seconds: float = 300.0) -> Leases:
    """The same leases as another process sees them."""
    leases = Leases(folder, UNITS, seconds=seconds)
    leases.me = owner
    return leases


def test_each_unit_goes_to_one_worker_until_all_have_a_result(tmp_path: Path) -> None:
    mine = Leases(tmp_path, UNITS)
    theirs = other(tmp_path, Owner("elsewhere", 1, 0.0))
    assert [mine.claim(), theirs.claim(), mine.claim()] == ["a", "b", "c"]
    assert mine.claim() is theirs.claim() is None
    mine.finish("a", RESULT)
    assert theirs.claim() is None
    assert theirs.open == ["b", "c"], "what has a result is looked at no more"
    assert theirs.result("a") == RESULT


def test_a_unit_of_a_process_that_ended_is_free_at_once(tmp_path: Path, ended: Owner) -> None:
    assert other(tmp_path, ended).claim() == "a"
    assert Leases(tmp_path, UNITS).claim() == "a"


def test_an_id_that_is_used_again_is_another_process(tmp_path: Path) -> None:
    me = own_process()
    assert other(tmp_path, replace(me, started=me.started - 100)).claim() == "a"
    assert Leases(tmp_path, UNITS).claim() == "a"


def test_a_worker_elsewhere_keeps_its_unit_while_it_shows_signs_of_life(tmp_path: Path) -> None:
    theirs = other(tmp_path, Owner("elsewhere", 1, 0.0))
    assert theirs.claim() == "a"
    patient = Leases(tmp_path, UNITS, seconds=300)
    assert patient.claim() == "b", "nothing is known of its process: it may live"
    hasty = Leases(tmp_path, ("a",), seconds=0.0)
    assert theirs.beat("a")
    assert hasty.claim() == "a", "no sign of life for longer than is waited for"
    assert not theirs.beat("a"), "its worker learns that the unit is no longer its own"
    theirs.release("a")
    assert hasty.owner("a") == hasty.me, "and does not take the other's lease away"


def test_clocks_that_are_wrong_make_no_lease_old(tmp_path: Path) -> None:
    assert other(tmp_path, Owner("elsewhere", 1, 0.0)).claim() == "a"
    os.utime(tmp_path / "a.json", (0, 0))  # the other machine's clock says 1970
    assert Leases(tmp_path, ("a",), seconds=60).claim() is None


def test_a_sign_of_life_is_seen_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("med2e3.study.leases.time.monotonic", lambda: now[0])
    theirs = other(tmp_path, Owner("elsewhere", 1, 0.0))
    mine = Leases(tmp_path, ("a",), seconds=60)
    assert theirs.claim() == "a"
    assert mine.claim() is None
    now[0] += 50
    os.utime(tmp_path / "a.json", (7, 7))  # any change is a sign, whatever the clock says
    assert mine.claim() is None
    now[0] += 50
    assert mine.claim() is None
    now[0] += 15
    assert mine.claim() == "a"


def test_a_lease_that_was_half_written_by_a_killed_worker_is_free(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"own')
    assert Leases(tmp_path, UNITS).claim() == "a"
