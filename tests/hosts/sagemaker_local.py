"""SageMaker's Python SDKs in local mode; run by the Python that has one of them: sagemaker_local.py WHAT JSON.

  files      version 2 writes the configuration of `hosts` hosts below `directory`, in either encoding, and prints the hosts' names
  estimator  version 2 trains with a generic Estimator
  trainer    version 3 trains with a ModelTrainer
"""

import json
import pathlib
import sys


def session(directory):
    import boto3
    from sagemaker.local import LocalSession

    made = LocalSession(boto_session=boto3.Session(region_name="eu-west-1"))
    made.config = {"local": {"local_code": True, "container_root": directory}}
    return made


def files(job):
    from sagemaker.estimator import Estimator, EstimatorBase
    from sagemaker.local import image

    written = {}
    for encoding in ("text", "json"):
        root = f"{job['directory']}/{encoding}"
        container = image._SageMakerContainer("local", job["hosts"], "lockstep", session(root))
        container.container_root = root
        hyperparameters = Estimator("lockstep", "arn:aws:iam::123456789012:role/training", 1, "ml.m5.large", hyperparameters=job["hyperparameters"],
                                    sagemaker_session=session(root)).hyperparameters()
        if encoding == "json":  # of an estimator with an entry point
            hyperparameters = EstimatorBase._json_encode_hyperparameters(hyperparameters)
        # What the local client does to a request.
        hyperparameters = {name: str(value) for name, value in hyperparameters.items()}
        for host in container.hosts:
            image._create_config_file_directories(root, host)
            container.write_config_files(host, hyperparameters, [{"ChannelName": name} for name in job["channels"]])
        written[encoding] = container.hosts
    print(json.dumps(written))


def estimator(job):
    from sagemaker.estimator import Estimator

    Estimator(image_uri="lockstep", role="arn:aws:iam::123456789012:role/training", instance_type="local", instance_count=job["hosts"],
              output_path=f"file://{job['directory']}/output", hyperparameters=job["hyperparameters"],
              sagemaker_session=session(job["directory"])).fit(
        {name: f"file://{path}" for name, path in job["channels"].items()}, job_name="a-job")


def trainer(job):
    from sagemaker.train import ModelTrainer
    from sagemaker.train.configs import Compute, InputData
    from sagemaker.train.model_trainer import Mode

    ModelTrainer(training_image="lockstep", training_mode=Mode.LOCAL_CONTAINER, role="arn:aws:iam::123456789012:role/training",
                 compute=Compute(instance_type="local_cpu", instance_count=job["hosts"]), hyperparameters=job["hyperparameters"],
                 base_job_name="a-job", local_container_root=job["directory"]).train(
        input_data_config=[InputData(channel_name=name, data_source=path) for name, path in job["channels"].items()], wait=True)


if __name__ == "__main__":
    job = json.loads(sys.argv[2])
    pathlib.Path(job["directory"]).mkdir(parents=True, exist_ok=True)
    {"files": files, "estimator": estimator, "trainer": trainer}[sys.argv[1]](job)
