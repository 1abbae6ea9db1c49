"""Prints, as JSON, what TensorBoard's own reader finds in a directory of events. Runs where TensorBoard is."""

import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "tensors": 0})
events.Reload()
found = {"scalars": {tag: [[event.step, event.value] for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]},
         "texts": {}, "hparams": {}, "status": None}
for tag, metadata in events.summary_metadata.items():
    name = metadata.plugin_data.plugin_name
    if name == "text":
        found["texts"][tag] = [event.tensor_proto.string_val[0].decode() for event in events.Tensors(tag)]
    elif name == "hparams":
        data = plugin_data_pb2.HParamsPluginData.FromString(metadata.plugin_data.content)
        kind = data.WhichOneof("data")
        if kind == "session_start_info":
            for key, value in data.session_start_info.hparams.items():
                found["hparams"][key] = getattr(value, value.WhichOneof("kind"))
        elif kind == "session_end_info":
            found["status"] = data.session_end_info.status
        else:
            found["shown"] = [metric.name.tag for metric in data.experiment.metric_infos]
json.dump(found, sys.stdout)
