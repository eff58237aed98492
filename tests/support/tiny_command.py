"""The command line with the tiny DenseNet in DenseNet121's place: what the jobs of the tests run as their process."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from fracture_core.__main__ import main
from fracture_core.jobs import worker

_train_and_package = worker._train_and_package


def _with_the_tiny_network(*arguments):
    """Put it in place when the training begins: as in the real command nothing heavy is imported before.

    With FRACTURE_TEST_STEP_SECONDS every step waits so long, so that there is time to meddle; it may name a file that
    holds the figure, to be changed while the run goes on.
    """
    import keras

    from fracture_core.training.trainer import Trainer
    from tests.support.training import tiny_densenet

    keras.applications.DenseNet121 = tiny_densenet
    step, pause = Trainer.train_step, os.environ.get("FRACTURE_TEST_STEP_SECONDS", "0")

    def slower(self, *batch):
        time.sleep(float(Path(pause).read_text() if "/" in pause else pause))
        return step(self, *batch)

    Trainer.train_step = slower
    return _train_and_package(*arguments)


if __name__ == "__main__":
    worker._train_and_package = _with_the_tiny_network
    sys.exit(main())
