"""`lockstep plan` shows what a job would do, from configurations as SageMaker writes them: hosts in order, ranks, devices, interface, and
the exact mpirun line."""

import functools
import json
import os
import pathlib
import subprocess

import cluster
import common

P4D = "ml.p4d.24xlarge"


@functools.cache
def driver():
    """A directory with a driver that counts eight GPUs."""
    directory = pathlib.Path("/run/driver")
    directory.mkdir()
    (directory / "driver.c").write_text("int cuInit(unsigned f) { return 0; } int cuDeviceGetCount(int* n) { *n = 8; return 0; }")
    subprocess.run(["cc", "-shared", "-o", directory / "libcuda.so.1", directory / "driver.c"], check=True)
    return directory


def plan(resources, hyperparameters=None, channels=("train",), gpus=False, expect=0):
    """What is printed, line by line, with BASE for the base directory, and the words of the command."""
    with common.temporary_directory() as base:
        config = pathlib.Path(base, "input", "config")
        config.mkdir(parents=True)
        for channel in channels:
            (pathlib.Path(base, "input", "data") / channel).mkdir(parents=True)
        files = {"resourceconfig": resources, "hyperparameters": {"threads_per_rank": "1", "batch_size": "1024"} | (hyperparameters or {}),
                 "inputdataconfig": {name: {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}
                                     for name in channels}}
        for name, value in files.items():
            (config / f"{name}.json").write_text(json.dumps(value))
        output = common.run(["plan"], expect=expect, environment={"SAGEMAKER_BASE_DIR": base} | (
            {"LD_LIBRARY_PATH": f"{driver()}:{os.environ.get('LD_LIBRARY_PATH', '')}"} if gpus else {}))
    lines = output.replace(base, "BASE").splitlines()
    assert all(line.split()[0] in ("hosts", "host", "leader", "interface", "model", "channel", "artifacts", "resume", "output", "metrics", "note",
                                   "command", "lockstep:", "WARNING:") for line in lines), output
    return lines


def of(lines, word):
    return [line.split(maxsplit=1)[1] for line in lines if line.split()[0] == word]


def command(hosts, ranks, interface):
    """What mpirun is given; OpenMPI 5 is not on this PATH."""
    root = "--allow-run-as-root " if os.geteuid() == 0 else ""
    over = f"--mca btl_tcp_if_include {interface} --mca oob_tcp_if_include {interface} " if interface else ""
    where = (f"--host {hosts} --mca pml ob1 --mca btl self,vader,tcp {over}--mca orte_keep_fqdn_hostnames 1 --mca plm rsh --mca plm_rsh_agent '{common.BIN}/lockstep remote-start' --mca "
             "plm_rsh_no_tree_spawn 1 --leave-session-attached ") if hosts else "--mca pml ob1 --mca btl self,vader --mca plm isolated "
    return [f"mpirun -np {ranks} {root}--bind-to none --map-by slot:OVERSUBSCRIBE {where}--mca mpi_yield_when_idle 1 {common.BIN}/lockstep train"]


def p4d(host):
    return {"current_host": host, "current_instance_type": P4D, "current_group_name": "homogeneousCluster",
            "hosts": ["algo-1", "algo-2", "algo-3", "algo-4"],
            "instance_groups": [{"instance_group_name": "homogeneousCluster", "instance_type": P4D, "hosts": ["algo-3", "algo-1", "algo-4", "algo-2"]}],
            "network_interface_name": "eth0", "topology": None}


def four_machines_of_eight_gpus():
    lines = plan(p4d("algo-1"), gpus=True)
    cores = len(os.sched_getaffinity(0))
    more = " (more ranks than cores)" if cores < 8 else ""
    assert of(lines, "host") == [f"algo-{n}: 8 ranks on 8 GPUs, 1 thread each{more}" for n in (1, 2, 3, 4)], lines
    assert of(lines, "hosts") == ["4; this one is algo-1, and the others are taken to be like it"], lines
    assert of(lines, "leader") == ["algo-1 (this host), runs the command below; the others come to its port 7788 within 900s"], lines
    assert of(lines, "interface") == ["eth0"] and of(lines, "channel") == ["train = BASE/input/data/train"], lines
    assert of(lines, "artifacts") == ["BASE/model"] and of(lines, "output") == ["BASE/output"], lines
    assert of(lines, "command") == command(f"{os.uname().nodename}:8,algo-2:8,algo-3:8,algo-4:8", 32, "eth0"), lines


def another_host_shows_what_the_leader_runs():
    lines = plan(p4d("algo-3"), gpus=True)
    assert of(lines, "leader") == ["algo-1, runs the command below; the others come to its port 7788 within 900s"], lines
    assert of(lines, "command") == command("algo-1:8,algo-2:8,algo-3:8,algo-4:8", 32, "eth0"), lines


def a_machine_without_its_gpus():
    """Planning is done on laptops: what is missing there is said, and the job is planned."""
    lines = plan(p4d("algo-1"))
    absent, unknown = of(lines, "WARNING:")
    assert f"whose instance type is {P4D}" in absent and "CUDA sees none on algo-1" in absent, lines
    assert "planned with 1 (ranks_per_host says how many)" in unknown, lines
    lines = plan(p4d("algo-1"), {"ranks_per_host": "8"})
    assert [line.split(", ")[0] for line in of(lines, "host")] == [f"algo-{n}: 8 ranks on 8 GPUs" for n in (1, 2, 3, 4)], lines
    assert of(lines, "command") == command(f"{os.uname().nodename}:8,algo-2:8,algo-3:8,algo-4:8", 32, "eth0"), lines


def heterogeneous(host, kind):
    return {"current_host": host, "current_instance_type": kind, "current_group_name": "gpu" if kind == "ml.p3dn.24xlarge" else "cpu",
            "hosts": ["algo-1", "algo-2", "algo-3"],
            "instance_groups": [{"instance_group_name": "cpu", "instance_type": "ml.c5.18xlarge", "hosts": ["algo-2"]},
                                {"instance_group_name": "gpu", "instance_type": "ml.p3dn.24xlarge", "hosts": ["algo-3", "algo-1"]}],
            "network_interface_name": "eth0"}


def some_groups_train():
    lines = plan(heterogeneous("algo-3", "ml.p3dn.24xlarge"), {"instance_groups": "gpu"}, gpus=True)
    assert [line.split(":")[0] for line in of(lines, "host")] == ["algo-1", "algo-3"], lines
    assert of(lines, "hosts") == ["2; this one is algo-3, and the others are taken to be like it"], lines
    assert of(lines, "command") == command("algo-1:8,algo-3:8", 16, "eth0"), lines
    lines = plan(heterogeneous("algo-2", "ml.c5.18xlarge"), {"instance_groups": '["gpu"]'}, channels=())
    assert of(lines, "host") == ["algo-1: trains", "algo-3: trains"] and not of(lines, "command"), lines
    assert of(lines, "note") == ["this host, algo-2, takes no part: it is in none of the instance groups that train (gpu)"], lines


def local_mode():
    """Version 2 has the interface that there is; version 3 names one that is not."""
    names = ["algo-1-a3x9k", "algo-2-a3x9k"]
    lines = plan({"current_host": names[0], "hosts": names, "network_interface_name": "eth0", "current_instance_type": "local"})
    assert of(lines, "host") == [f"{name}: 1 rank on the CPU, 1 thread each" for name in names], lines
    assert of(lines, "command") == command(f"{os.uname().nodename}:1,{names[1]}:1", 2, "eth0"), lines
    lines = plan({"current_host": "algo-1", "hosts": ["algo-1", "algo-2"], "network_interface_name": "ethwe", "current_instance_type": "local_cpu"},
                 {"ranks_per_host": "2", "hosts_port": "7799", "hosts_timeout": "5m"})
    assert of(lines, "interface") == ["ethwe is not on this host: the one by which the hosts reach the leader, when they have met"], lines
    assert of(lines, "leader") == ["algo-1 (this host), runs the command below; the others come to its port 7799 within 300s"], lines
    assert of(lines, "command") == command(f"{os.uname().nodename}:2,algo-2:2", 4, ""), lines


def the_least_that_there_may_be():
    lines = plan({"current_host": "algo-1", "hosts": ["algo-1", "algo-2"]})
    assert of(lines, "interface") == ["the one by which the hosts reach the leader, when they have met"], lines
    assert of(lines, "command") == command(f"{os.uname().nodename}:1,algo-2:1", 2, ""), lines
    lines = plan({})
    assert of(lines, "host") == ["localhost: 1 rank on the CPU, 1 thread each"] and not of(lines, "leader") + of(lines, "interface"), lines
    assert of(lines, "command") == command("", 1, ""), lines


def twelve_hosts_are_in_natural_order():
    names = [f"algo-{n}" for n in range(1, 13)]
    lines = plan({"current_host": "algo-10", "hosts": sorted(names), "network_interface_name": "eth0"})
    assert [line.split(":")[0] for line in of(lines, "host")] == names, lines
    assert of(lines, "command") == command(",".join(f"{name}:1" for name in names), 12, "eth0"), lines


if __name__ == "__main__":
    cluster.isolated()
    cluster.ip("link", "add", "eth0", "type", "bridge")
    cluster.ip("address", "add", f"{cluster.NETWORK}.10/24", "dev", "eth0")
    cluster.ip("link", "set", "eth0", "up")
    common.main(four_machines_of_eight_gpus, another_host_shows_what_the_leader_runs, a_machine_without_its_gpus, some_groups_train, local_mode,
                the_least_that_there_may_be, twelve_hosts_are_in_natural_order)
