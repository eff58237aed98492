"""Detect fractures on bone radiographs. Research demonstrator; not a medical device, not for diagnosis."""

import os
import sys

__version__ = "0.1.0"

# OpenVINO reports to its maker that it was imported, if it finds this package, which its wheel brings along. Nothing is
# to leave a machine where radiographs are read; None makes the package unimportable, and OpenVINO reports nothing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

# OpenBLAS's threads spin for some time after every product of numpy's that they had a part in, which takes a processor
# from whoever draws the answer. Products here are too small to gain from them. It must be said before numpy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
