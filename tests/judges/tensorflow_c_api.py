"""TF_LoadSessionFromSavedModel is what TensorFlow Serving's loader is: tags, signature, restore operator. Run by saved_model.py, in a process
without Python's TensorFlow.

    tensorflow_c_api.py [MODEL INPUTS.npy LOGITS.npy]...
"""

import ctypes
import os
import pathlib
import sys

import numpy as np

import common

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
libraries = pathlib.Path(sys.prefix) / "lib" / f"python3.{sys.version_info.minor}" / "site-packages" / "tensorflow"
ctypes.CDLL(libraries / "libtensorflow_framework.so.2", mode=ctypes.RTLD_GLOBAL)
tf = ctypes.CDLL(libraries / "libtensorflow_cc.so.2")
for name in ("NewStatus", "NewGraph", "NewSessionOptions", "LoadSessionFromSavedModel", "GraphOperationByName", "AllocateTensor",
             "TensorData"):
    getattr(tf, "TF_" + name).restype = ctypes.c_void_p
tf.TF_Message.restype = ctypes.c_char_p


class TfOutput(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


def serve(model, inputs, logits):
    inputs, logits = np.load(inputs), np.load(logits)
    status, graph = ctypes.c_void_p(tf.TF_NewStatus()), ctypes.c_void_p(tf.TF_NewGraph())

    def succeed():
        assert tf.TF_GetCode(status) == 0, tf.TF_Message(status).decode()

    tags = (ctypes.c_char_p * 1)(b"serve")
    session = ctypes.c_void_p(tf.TF_LoadSessionFromSavedModel(ctypes.c_void_p(tf.TF_NewSessionOptions()), None, model.encode(), tags, 1,
                                                              graph, None, status))
    succeed()
    dims = (ctypes.c_int64 * inputs.ndim)(*inputs.shape)
    given = ctypes.c_void_p(tf.TF_AllocateTensor(1, dims, inputs.ndim, ctypes.c_size_t(inputs.nbytes)))
    ctypes.memmove(tf.TF_TensorData(given), np.ascontiguousarray(inputs).ctypes.data, inputs.nbytes)
    feed = TfOutput(tf.TF_GraphOperationByName(graph, b"serving_default_x"), 0)
    fetch = TfOutput(tf.TF_GraphOperationByName(graph, b"StatefulPartitionedCall"), 0)
    fetched = ctypes.c_void_p()
    tf.TF_SessionRun(session, None, ctypes.byref(feed), ctypes.byref(given), 1, ctypes.byref(fetch), ctypes.byref(fetched), 1, None, 0,
                     None, status)
    succeed()
    output = np.empty_like(logits)
    ctypes.memmove(output.ctypes.data, tf.TF_TensorData(fetched), output.nbytes)
    common.compare_outputs(output, logits)


if __name__ == "__main__":
    for i in range(1, len(sys.argv), 3):
        serve(*sys.argv[i:i + 3])
