#!/usr/bin/env python3
"""Starts a Lockstep job on two instances with version 3 of SageMaker's SDK (pip install sagemaker-train).

    model_trainer.py --image ACCOUNT.dkr.ecr.REGION.amazonaws.com/lockstep:0.2.0 --role arn:aws:iam::ACCOUNT:role/NAME --bucket BUCKET

The bucket holds the IDX files of the channels below data/train and data/test; results go to jobs/ and checkpoints/.
"""

import argparse

from sagemaker.core.shapes import MetricDefinition
from sagemaker.core.training.configs import CheckpointConfig, Compute, InputData, OutputDataConfig, StoppingCondition
from sagemaker.train.model_trainer import ModelTrainer

HOUR = 3600

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--image", required=True)
parser.add_argument("--role", required=True)
parser.add_argument("--bucket", required=True)
parser.add_argument("--instance_type", default="ml.g5.12xlarge")
arguments = parser.parse_args()

# No source_code: the image's own entry point is what runs.
trainer = ModelTrainer(
    training_image=arguments.image,
    role=arguments.role,
    base_job_name="lockstep-cnn",
    # One rank for each GPU of both instances.
    compute=Compute(instance_type=arguments.instance_type, instance_count=2, enable_managed_spot_training=True),
    hyperparameters={
        "model": "cnn",
        "epochs": 10,
        "batch_size": 512,  # over all ranks
        "learning_rate": 0.05,
        "schedule": "cosine",
        "warmup_steps": 200,
        "monitor": "accuracy:max",
        "checkpoint_every": "10m",
    },
    output_data_config=OutputDataConfig(s3_output_path=f"s3://{arguments.bucket}/jobs"),
    # An interrupted spot job goes on from the newest checkpoint. Another job needs another place.
    checkpoint_config=CheckpointConfig(s3_uri=f"s3://{arguments.bucket}/checkpoints/cnn"),
    # The second with the wait for spot instances.
    stopping_condition=StoppingCondition(max_runtime_in_seconds=4 * HOUR, max_wait_time_in_seconds=8 * HOUR),
).with_metric_definitions([
    # Rank 0 prints a line after every evaluation: epoch=1 step=118 … test_loss=0.3104 test_accuracy=0.8891 …
    MetricDefinition(name="test:loss", regex="test_loss=([0-9.e+-]+)"),
    MetricDefinition(name="test:accuracy", regex="test_accuracy=(-?[0-9.]+)"),
])
trainer.train([InputData(channel_name=name, data_source=f"s3://{arguments.bucket}/data/{name}") for name in ("train", "test")], wait=False)
