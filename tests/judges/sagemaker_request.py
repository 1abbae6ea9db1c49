"""Runs a script that starts a SageMaker job, and prints the CreateTrainingJob request that it would send, as JSON. Run by the
Python of the SDK at hand: sagemaker_request.py SCRIPT ARGUMENT...

The SDK and botocore are the real ones down to where bytes would leave: names and types of the request are botocore's to check.
"""

import json
import runpy
import sys
import types

import botocore.endpoint

requests = []


def answer(endpoint, operation, request):
    answers = {"CreateTrainingJob": {"TrainingJobArn": "arn:aws:sagemaker:eu-west-1:123456789012:training-job/a-job"},
               "GetRole": {"Role": {}}, "SimulatePrincipalPolicy": {"EvaluationResults": []},  # version 3 asks what the role may do
               "DescribeTrainingJob": {"TrainingJobName": "a-job", "TrainingJobStatus": "InProgress"}}
    assert operation.name in answers, f"{operation.name} is called"
    if operation.name == "CreateTrainingJob":
        requests.append(json.loads(request["body"]))
    return types.SimpleNamespace(status_code=200, headers={}), answers[operation.name] | {"ResponseMetadata": {"HTTPStatusCode": 200}}


botocore.endpoint.Endpoint.make_request = answer
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
(request,) = requests
print(json.dumps(request))
