"""What holds for the package as a whole, whichever of its modules is used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1]
WATCH = """
import json, sys
events = []
sys.addaudithook(lambda event, arguments: events.append(event) if event.startswith("socket.") else None)
import fracture_core.inference.engine, openvino
import time; time.sleep(1)  # a report would be sent by a thread
print(json.dumps({"events": events, "reporter": "openvino_telemetry.main" in sys.modules}))
"""


def test_reading_calls_no_other_machine_and_leaves_no_identifier(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | {"HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", WATCH], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert not found["reporter"] and not set(found["events"]) & {"socket.connect", "socket.getaddrinfo"}
    assert list(tmp_path.iterdir()) == []
