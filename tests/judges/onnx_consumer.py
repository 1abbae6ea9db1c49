"""Runs ONNX models by ONNX Runtime, of whatever version this Python has, with optimisations off and on: in each DIRECTORY of those named,
model.onnx on every .npz, which holds inputs by name and the outputs that are expected, `output_0`…"""

import pathlib
import sys

import numpy as np
import onnxruntime


def session(path, optimized):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, "ORT_ENABLE_ALL" if optimized else "ORT_DISABLE_ALL")
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def compare(found, wanted, most=1e-4, finite=True):
    """Rounding is measured by the element itself and by what is usual in the output: other kernels have other orders of sums.
    `finite`: all is; else what is not is the same."""
    assert len(found) == len(wanted), (len(found), len(wanted))
    worst = 0.0
    for i, (a, b) in enumerate(zip(found, wanted)):
        assert a.shape == b.shape and a.dtype == b.dtype, (i, a.shape, b.shape, a.dtype, b.dtype)
        if b.dtype.kind != "f":
            assert np.array_equal(a, b), f"output {i} differs"
            continue
        good = np.isfinite(b)
        assert not finite or good.all(), f"output {i} is not finite"
        assert np.array_equal(a[~good], b[~good], equal_nan=True), f"output {i} differs where it is not finite"
        a, b = a[good], b[good]
        if b.size:
            worst = max(worst, float(np.max(np.abs(a - b) / (np.abs(b) + np.median(np.abs(b)) + 1e-30))))
    assert worst <= most, f"outputs differ by {worst:.3g}"
    return worst


def consume(directory, finite):
    for optimized in (False, True):
        runtime = session(directory / "model.onnx", optimized)
        for batch in directory.glob("*.npz"):
            given = dict(np.load(batch))
            wanted = [given.pop(f"output_{i}") for i in range(len(runtime.get_outputs()))]
            compare(runtime.run(None, given), wanted, finite=finite)


if __name__ == "__main__":
    wrong = []
    for name in sys.argv[1:]:
        try:
            consume(pathlib.Path(name), finite=False)
        except Exception as error:  # whatever is wrong with one says nothing of the others
            wrong.append(f"{pathlib.Path(name).name}: {error}")
    print(f"ONNX Runtime {onnxruntime.__version__}: {len(sys.argv) - 1 - len(wrong)} right", *wrong, sep="\n")
    sys.exit(bool(wrong))
