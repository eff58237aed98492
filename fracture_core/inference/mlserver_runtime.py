"""Run an exported network in MLServer with OpenVINO at full precision. `inference.model_export` ships this file.

It stands alone beside the network, where MLServer and OpenVINO are installed and nothing else of this project is.
"""

from __future__ import annotations

import asyncio
import sys

import numpy as np

sys.modules.setdefault("openvino_telemetry", None)  # OpenVINO would report to its maker that it was imported

import openvino  # noqa: E402
from mlserver import MLModel  # noqa: E402
from mlserver.codecs import NumpyCodec  # noqa: E402
from mlserver.errors import InferenceError  # noqa: E402
from mlserver.types import InferenceRequest, InferenceResponse  # noqa: E402
from mlserver.utils import get_model_uri  # noqa: E402


class OpenVINORuntime(MLModel):
    """One network in OpenVINO's format: float32 images (n, S, S, 1), 0..255, to each of its outputs by name."""

    async def load(self) -> bool:
        """Compile the network that `uri` in model-settings.json names.

        Returns:
            True, as MLServer expects of a model that is ready.
        """
        path = await get_model_uri(self.settings)
        options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        self._compiled = openvino.Core().compile_model(path, "CPU", options)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Run the network on a request.

        Args:
            payload: One FP32 input; it may name the outputs, else all are returned.

        Returns:
            The outputs.

        Raises:
            InferenceError: The input does not fit the network, or there is no such output.
        """
        if len(payload.inputs) != 1 or payload.inputs[0].datatype != "FP32":
            raise InferenceError("The network reads one input of the type FP32.")
        try:
            images = NumpyCodec.decode_input(payload.inputs[0])
            results = await asyncio.to_thread(self._run, images)
        except (RuntimeError, ValueError, TypeError) as error:
            raise InferenceError(f"The network cannot read this input: {str(error).splitlines()[0]}") from error
        wanted = [output.name for output in payload.outputs or []] or list(results)
        if unknown := set(wanted) - set(results):
            raise InferenceError(f"The network has no output {sorted(unknown)[0]!r}.")
        return InferenceResponse(
            id=payload.id,
            model_name=self.name,
            model_version=self.version,
            outputs=[NumpyCodec.encode_output(name, results[name]) for name in wanted],
        )

    def _run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        request = self._compiled.create_infer_request()
        request.infer([np.ascontiguousarray(images, np.float32)])
        # Copies: what the request holds is gone with it.
        return {port.any_name: request.get_tensor(port).data.copy() for port in self._compiled.outputs}
