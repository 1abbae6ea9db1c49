#!/usr/bin/env python3
"""Starts a Lockstep job on two instances with version 2 of SageMaker's SDK (pip install 'sagemaker<3').

    estimator.py --image ACCOUNT.dkr.ecr.REGION.amazonaws.com/lockstep:0.2.0 --role arn:aws:iam::ACCOUNT:role/NAME --bucket BUCKET

The bucket holds the IDX files of the channels below data/train and data/test; results go to jobs/ and checkpoints/.
"""

import argparse

from sagemaker.estimator import Estimator

HOUR = 3600

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--image", required=True)
parser.add_argument("--role", required=True)
parser.add_argument("--bucket", required=True)
parser.add_argument("--instance_type", default="ml.g5.12xlarge")
arguments = parser.parse_args()

estimator = Estimator(
    image_uri=arguments.image,
    role=arguments.role,
    base_job_name="lockstep-cnn",
    instance_type=arguments.instance_type,
    instance_count=2,  # one rank for each GPU of both
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
    # Rank 0 prints a line after every evaluation: epoch=1 step=118 … test_loss=0.3104 test_accuracy=0.8891 …
    metric_definitions=[
        {"Name": "test:loss", "Regex": "test_loss=([0-9.e+-]+)"},
        {"Name": "test:accuracy", "Regex": "test_accuracy=(-?[0-9.]+)"},
    ],
    output_path=f"s3://{arguments.bucket}/jobs",
    # An interrupted spot job goes on from the newest checkpoint. Another job needs another place.
    checkpoint_s3_uri=f"s3://{arguments.bucket}/checkpoints/cnn",
    use_spot_instances=True,
    max_run=4 * HOUR,
    max_wait=8 * HOUR,  # with the wait for spot instances
    debugger_hook_config=False,  # both are for frameworks in Python
    disable_profiler=True,
)
estimator.fit({name: f"s3://{arguments.bucket}/data/{name}" for name in ("train", "test")}, wait=False)
