"""Stands in for Docker, as SageMaker's local mode calls it: `docker compose version` and `docker compose -f FILE up
--abort-on-container-exit`. Each service is a host in namespaces of its own (cluster.py) whose image is Lockstep's: it runs LOCKSTEP_BIN's
program with the service's command, environment and volumes, and nothing else. /opt/ml is its base directory. Needs PyYAML, which both
SDKs have, and runs in the namespaces of `cluster.isolated`."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import yaml

import cluster
import common

GRACE = 10  # seconds between SIGTERM and SIGKILL, as Docker has it
OF_THE_IMAGE = ("PATH", "HOME", "LD_LIBRARY_PATH", "OMP_NUM_THREADS")


def words(value):
    return value.split() if isinstance(value, str) else list(value or [])


def show(name, stream):
    """Prints a container's lines as they come, as compose does; a terminal ends with an error."""
    try:
        for line in os.fdopen(stream, "rb"):
            sys.stdout.buffer.write(f"{name}  | ".encode() + line.replace(b"\r\n", b"\n"))
            sys.stdout.flush()
    except OSError:
        pass


def start(host, service):
    for volume in service.get("volumes", []):
        source, place = volume.removesuffix(":z").split(":")
        os.makedirs(source, exist_ok=True)
        host.volumes[os.path.relpath(place, "/opt/ml")] = source
    environment = {name: os.environ[name] for name in OF_THE_IMAGE if name in os.environ}
    environment |= dict(entry.split("=", 1) for entry in service.get("environment", []))
    environment |= {"SAGEMAKER_BASE_DIR": str(host.base), "TMPDIR": str(host.directory / "tmp")}
    shown, printed = os.openpty() if service.get("tty") else os.pipe()
    command = words(service.get("entrypoint", [common.BIN / "lockstep"])) + words(service.get("command"))
    host.process = subprocess.Popen(host.inside(command), stdin=subprocess.DEVNULL, stdout=printed, stderr=printed, env=environment)
    os.close(printed)
    thread = threading.Thread(target=show, args=(host.name, shown), daemon=True)
    thread.start()
    return thread


def stop(host):
    """SIGTERM to the container's PID 1, which may be about to end by itself."""
    with contextlib.suppress(OSError):
        (first,) = pathlib.Path(f"/proc/{host.process.pid}/task/{host.process.pid}/children").read_text().split() or [None]
        if first:
            os.kill(int(first), signal.SIGTERM)


def up(services):
    """Starts all, stops all as soon as one has ended, and returns the first exit code that is not 0."""
    parent = os.getppid()
    with cluster.cluster(list(services)) as made:
        threads = [start(host, services[host.name]) for host in made.hosts]
        running, codes, deadline = list(made.hosts), [], None
        while running and os.getppid() == parent and (deadline is None or time.monotonic() < deadline):
            for host in [host for host in running if host.process.poll() is not None]:
                running.remove(host)
                codes.append(host.process.returncode)
                print(f"{host.name} exited with code {host.process.returncode}", flush=True)
            if codes and deadline is None:
                deadline = time.monotonic() + GRACE
                for host in running:
                    stop(host)
            time.sleep(0.01)
    for thread in threads:
        thread.join(5)
    if running:
        print(f"killed: {', '.join(host.name for host in running)}", flush=True)
    codes += [128 + signal.SIGKILL] * len(running)
    return next((code for code in codes if code), 0)


def main(arguments):
    if arguments == ["compose", "version"]:
        print("Docker Compose version v2.0.0, a stand-in")
        return 0
    if arguments[:2] == ["compose", "-f"] and arguments[3:] == ["up", "--build", "--abort-on-container-exit"]:
        with open(arguments[2]) as file:
            return up(yaml.safe_load(file)["services"])
    print(f"the stand-in for docker does not know {arguments}", file=sys.stderr)
    return 125


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
