"""Runs a study on a Ray cluster of this machine and kills a node of it: `ray_nodes.py PLAN OUT`.

A program of its own: Ray leaves threads and processes that pytest would complain of. Prints which
node was killed and how many parts there were then.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from med2e3.study.options import Options
from med2e3.study.plan import read_plan
from med2e3.study.ray_engine import prepare
from med2e3.study.running import run


def main(plan: Path, out: Path) -> None:
    prepare(alone=True)
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    second = cluster.add_node(num_cpus=2)
    failures: list[BaseException] = []

    def study() -> None:
        try:
            run(read_plan(plan), out, Options(4, "ray", address=cluster.address))
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=study)
    thread.start()
    while thread.is_alive() and not list(out.glob("parts/*.parquet")):
        time.sleep(0.05)
    there = len(list(out.glob("parts/*.parquet")))
    cluster.remove_node(second, allow_graceful=False)
    print(f"killed a node with 2 of 4 workers after {there} parts", flush=True)
    thread.join()
    cluster.shutdown()
    if failures:
        raise failures[0]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
