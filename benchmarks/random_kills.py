"""Kill a small training run at random, again and again, and check that it ends with the weights it would have had.

    python -m benchmarks.random_kills --kills 20 --seed 0

The process is killed by SIGKILL at a random moment: while it starts, decodes, trains, validates, writes a checkpoint or
packages. Each attempt resumes. The last one runs to its end; its weights are compared bit for bit with those of an
uninterrupted run. The dataset is synthetic, the network a small DenseNet. Prints one line per kill and a JSON object at
the end; exits with 0 if the weights are equal.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from fracture_core.cli.exit_status import exit_status


def main() -> int:
    """Run the kills; return the exit status."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kills", type=int, default=20)
    arguments.add_argument("--epochs", type=int, default=1000)
    arguments.add_argument("--seed", type=int, default=0)
    parsed = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("RUNS", "MODELS", "CACHE"):
            os.environ[f"FRACTURE_{name}_DIR"] = str(root / name.lower())
        os.environ["FRACTURE_TEST_STEP_SECONDS"] = "0.1"
        failures = _kill_and_compare(root, parsed.kills, parsed.epochs, random.Random(parsed.seed))
    print(json.dumps(failures, indent=1))
    return 0 if failures["equal"] else 1


def _kill_and_compare(root: Path, kills: int, epochs: int, dice: random.Random) -> dict:
    from fracture_core.jobs import launcher as job
    from fracture_core.training.run_folder import RunFolder
    from tests.support.training import SMALL, miniature

    job.COMMAND = (sys.executable, "-m", "tests.support.tiny_command")
    miniature(root / "data")
    recipe = SMALL.replace(epochs=epochs, fast_path=True)
    whole = job.start(recipe, root / "data", "whole")
    began = time.monotonic()
    _finish(whole)
    lasted = time.monotonic() - began
    run, hit = job.start(recipe, root / "data", "killed"), Counter()
    for number in range(kills):
        # Spread the kills over most of the run, all before its end, although the machine's speed varies.
        time.sleep(dice.uniform(0, 1.2 * lasted / kills))
        stage = _kill(run)
        if stage == "finished":  # too late; what was killed before still counts
            print(f"ended before kill {number + 1}; a longer run has more --epochs", flush=True)
            break
        hit[stage] += 1
        print(f"kill {number + 1}: {stage}", flush=True)
        job.resume(run)
    _finish(run)
    digests = [RunFolder(folder).record()["weights_sha256"] for folder in (whole, run)]
    return {"kills": sum(hit.values()), "at": dict(hit), "equal": digests[0] == digests[1], "sha256": digests[0]}


def _kill(run: Path) -> str:
    """Kill the run's process; return the stage it was in, or "finished" if it had ended."""
    from fracture_core.jobs import launcher as job
    from fracture_core.jobs.lock import current_trainer
    from fracture_core.jobs.status import status

    holder = current_trainer()
    if holder is None:
        return "finished"
    stage = status(run).stage
    os.kill(holder.pid, signal.SIGKILL)
    current = job.wait(run, 60)
    assert current.resumable, current
    return stage


def _finish(run: Path) -> None:
    from fracture_core.jobs import launcher as job
    from fracture_core.jobs.status import log_tail

    current = job.wait(run, 3600)
    assert current.state == "finished", (current, log_tail(run))


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
