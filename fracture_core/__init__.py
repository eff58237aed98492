"""Detect fractures on bone radiographs. Research demonstrator; not a medical device, not for diagnosis."""

import sys

__version__ = "0.1.0"

# OpenVINO reports to its maker that it was imported, if it finds this package, which its wheel brings along. Nothing is
# to leave a machine where radiographs are read; None makes the package unimportable, and OpenVINO reports nothing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
