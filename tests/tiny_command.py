"""The command line with the tiny DenseNet in DenseNet121's place: what the jobs of the tests run as their process."""

from __future__ import annotations

import os
import sys
import time

from fracture_core.__main__ import main


def run() -> int:
    """Run one command; with FRACTURE_TEST_STEP_SECONDS every step waits so long, so that there is time to meddle."""
    import keras

    from fracture_core.learner import Learner
    from tests.training import tiny_densenet

    keras.applications.DenseNet121 = tiny_densenet
    step, pause = Learner.train_step, float(os.environ.get("FRACTURE_TEST_STEP_SECONDS", "0"))

    def slower(self, *arguments):
        time.sleep(pause)
        return step(self, *arguments)

    Learner.train_step = slower
    return main()


if __name__ == "__main__":
    sys.exit(run())
