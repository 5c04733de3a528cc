"""Runs a study on Ray: workers on many machines, which share the study's folder."""

from __future__ import annotations

from med2e3.study.folder import StudyFolder
from med2e3.study.leases import Leases
from med2e3.study.running import Options, Report


def run_on_ray(folder: StudyFolder, leases: Leases, options: Options, report: Report) -> None:
    raise NotImplementedError
