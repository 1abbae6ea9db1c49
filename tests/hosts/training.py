"""Hosts that know nothing but their three configuration files train together, and get what one host gets."""

import os
import pathlib
import random
import subprocess
import time

import cluster
import common
import numpy as np
from safetensors.numpy import load_file

SOAK = "LOCKSTEP_SOAK" in os.environ
OPENMPI_5 = pathlib.Path(os.environ["LOCKSTEP_OPENMPI_5"])
EXACT = {"model": "cnn", "model_norm": "none", "model_dropout": 0, "precision": "fp64", "epochs": 2, "batch_size": 24,
         "momentum": 0.9, "threads_per_rank": 1, "export": "safetensors", "hosts_timeout": "60s"}


def names(count):
    return [f"algo-{number + 1}" for number in range(count)]


def data(directory):
    path = directory / "data"
    common.write_channel(path, *common.images(200))
    return {"train": path}


def expected(channels, directory):
    """What one host's single rank trains."""
    _, parameters = common.train(directory / "alone", channels, **EXACT)
    return parameters


def check_parameters(made, expected_parameters):
    found = load_file(made[0].base / "model" / "model.safetensors")
    assert common.relative_difference(found, expected_parameters) <= common.tolerance(steps=2 * 9)  # epochs of 200 samples
    for host in made.hosts[1:]:
        model = host.base / "model"
        assert model.resolve() == (made[0].base / "model").resolve() or not model.exists() or not list(model.iterdir())
        assert host.failure() is None


def train(count, ranks=2, change=None, uts=None, environment=None):
    with cluster.cluster(names(count)) as made:
        channels = data(made.directory)
        parameters = expected(channels, made.directory)
        made.configure(channels, {**EXACT, "ranks_per_host": ranks})
        if change:
            change(made)
        for host in made.hosts:
            host.start(uts=uts, environment=environment)
        made.finish()
        assert f"{count * ranks} on {count} hosts, led by algo-1" in made[0].output(), made.outputs()
        check_parameters(made, parameters)
        return made.outputs()


def two_and_three_hosts_equal_one():
    train(2)
    train(3)


def hosts_may_share_the_model_directory():
    def share(made):
        (made.directory / "model").mkdir()
        for host in made.hosts:
            (host.base / "model").symlink_to(made.directory / "model")

    train(2, change=share)


def eleven_hosts_are_in_natural_order():
    output = train(11, ranks=1)
    assert "algo-1 leads 11 hosts" in output


def systems_may_have_one_name():
    """As containers do whose host name nobody has set; OpenMPI 5 cannot tell such hosts apart, which is said at once."""
    train(2, uts="aws")
    with cluster.cluster() as made:
        made.configure(data(made.directory), EXACT)
        for host in made.hosts:
            host.start(uts="aws", environment=openmpi_5())
        made.finish(30, expect=2)
        for host in made.hosts:
            assert 'algo-1 and algo-2 are both called "aws"' in host.failure()


def openmpi_5():
    return {"PATH": f"{OPENMPI_5}/bin:{os.environ['PATH']}", "LD_LIBRARY_PATH": f"{OPENMPI_5}/lib"}


def openmpi_5_starts_them_too():
    version = subprocess.run([OPENMPI_5 / "bin" / "mpirun", "--version"], capture_output=True, text=True, check=True).stdout
    assert "(Open MPI) 5." in version
    train(2, environment=openmpi_5())
    train(3, ranks=1, environment=openmpi_5())


def configurations_that_differ_by_nothing_that_matters():
    """What real jobs show: inner lists of hosts in any order, a topology of null, no groups, an interface that is not there."""
    def shuffle(made):
        all_names = [host.name for host in made.hosts]
        for number, host in enumerate(made.hosts):
            resource = {"current_host": host.name, "hosts": random.sample(all_names, len(all_names)), "topology": None,
                        "current_instance_type": "ml.c5.xlarge"}
            if number > 0:
                resource |= {"current_group_name": "homogeneousCluster", "network_interface_name": "ethwe", "instance_groups": [
                    {"instance_group_name": "homogeneousCluster", "instance_type": "ml.c5.xlarge",
                     "hosts": random.sample(all_names, len(all_names))}]}
            host.write("resourceconfig", resource)

    train(3, ranks=1, change=shuffle)


def hosts_may_come_late_and_in_any_order():
    with cluster.cluster(names(3)) as made:
        channels = data(made.directory)
        parameters = expected(channels, made.directory)
        made.configure(channels, {**EXACT, "ranks_per_host": 1})
        for host in made.hosts:
            host.hosts_file.write_text("127.0.0.1 localhost\n")
        for host in random.sample(made.hosts, 3):
            host.start()
            time.sleep(random.uniform(0, 20 if SOAK else 2))
        time.sleep(5 if SOAK else 1)
        for host in random.sample(made.hosts, 3):  # until now no name has resolved
            host.know(made.hosts)
            time.sleep(random.uniform(0, 1))
        made.finish()
        check_parameters(made, parameters)


def a_host_that_never_comes_is_named_everywhere():
    with cluster.cluster(names(4)) as made:
        made.configure(data(made.directory), {**EXACT, "hosts_timeout": "4s"})
        start = time.monotonic()
        for host in made.hosts[:3]:
            host.start()
        assert [host.wait(15) for host in made.hosts[:3]] == [5, 5, 5], made.outputs()
        assert time.monotonic() - start < 10
        for host in made.hosts[:3]:
            assert "not all hosts have come within 4 s; missing: algo-4 (3 of 4 hosts are here)" in host.failure()
    with cluster.cluster(names(2)) as made:
        made.configure(data(made.directory), {**EXACT, "hosts_timeout": "3s"})
        made[1].start()
        assert made[1].wait(10) == 5
        assert "algo-2 could not join its leader, algo-1 at port 7788, within 3 s: nobody answers there" in made[1].failure()


def hosts_with_other_jobs_refuse_each_other():
    with cluster.cluster() as made:
        made.configure(data(made.directory), EXACT)
        made[1].write("hyperparameters", {name: str(value) for name, value in {**EXACT, "seed": 7}.items()})
        made.start().finish(20, expect=2)
        for host in made.hosts:
            assert "algo-2 has other hyperparameters than algo-1" in host.failure()


def every_rank_is_of_its_own_host():
    """What the toolkit gets wrong: each rank sees its own host's name, paths and number of threads."""
    with cluster.cluster() as made:
        made.configure(data(made.directory), {**EXACT, "ranks_per_host": 1, "export": "none"})
        (made[1].base / "input" / "data" / "train").unlink()
        (made[1].base / "input" / "data" / "train").mkdir()
        made.start().finish(30, expect=2)
        assert f"rank 1 of 2: the channel directory {made[1].base}/input/data/train" in made[0].failure(), made[0].failure()


if __name__ == "__main__":
    cluster.isolated()
    random.seed(5)
    np.random.seed(5)
    common.main(two_and_three_hosts_equal_one, hosts_may_share_the_model_directory, eleven_hosts_are_in_natural_order,
                systems_may_have_one_name, openmpi_5_starts_them_too, configurations_that_differ_by_nothing_that_matters,
                hosts_may_come_late_and_in_any_order, a_host_that_never_comes_is_named_everywhere,
                hosts_with_other_jobs_refuse_each_other, every_rank_is_of_its_own_host)
