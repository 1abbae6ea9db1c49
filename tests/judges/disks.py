"""Disks that are full, slow, broken or forbidden: the place is named, what was there stays, and the exit code is right."""

import os
import pathlib
import re
import subprocess

import common
from resume import Job, Mounted, everything_in, same, training_seconds

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* BROKEN_DISK=CALL:ERRNO:AFTER:PATH  the call fails from the AFTER-th on, below PATH; ERRNO 0: it takes 20 ms instead. */
static int fault(const char* call, const char* path) {
  static int passed;
  char spec[PATH_MAX + 64], *rest = spec;
  const char* given = getenv("BROKEN_DISK");
  if (!given || !path) return 0;
  snprintf(spec, sizeof spec, "%s", given);
  const char* wanted = strsep(&rest, ":");
  const int number = atoi(strsep(&rest, ":"));
  const int after = atoi(strsep(&rest, ":"));
  if (strcmp(wanted, call) || strncmp(path, rest, strlen(rest))) return 0;
  if (__atomic_add_fetch(&passed, 1, __ATOMIC_SEQ_CST) < after) return 0;
  if (!number) { usleep(20000); return 0; }
  errno = number;
  return 1;
}
static int fault_of(const char* call, int fd) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return fault(call, path);
}
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void* bytes, size_t count) { return fault_of("write", fd) ? -1 : NEXT(write)(fd, bytes, count); }
int fsync(int fd) { return fault_of("fsync", fd) ? -1 : NEXT(fsync)(fd); }
int rename(const char* from, const char* to) { return fault("rename", to) ? -1 : NEXT(rename)(from, to); }
static int opened(int (*next)(const char*, int, ...), const char* path, int flags, int mode) {
  if ((flags & O_CREAT) && fault("open", path)) return -1;
  return next(path, flags, mode);
}
int open(const char* path, int flags, ...) {
  va_list more; va_start(more, flags); const int mode = va_arg(more, int); va_end(more);
  return opened(NEXT(open), path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list more; va_start(more, flags); const int mode = va_arg(more, int); va_end(more);
  return opened(NEXT(open64), path, flags, mode);
}
"""
ERRORS = {"EIO": (5, "Input/output error"), "EACCES": (13, "Permission denied"), "EROFS": (30, "Read-only file system"),
          "ENOSPC": (28, "No space left on device")}


class Disks(Job):
    def __init__(self, directory):
        super().__init__(directory)
        source = self.directory / "shim.c"
        source.write_text(SHIM)
        self.shim = source.with_suffix(".so")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", self.shim, source, "-ldl"], check=True)
        self.with_options(model="mlp", learning_rate=0.02, epochs=2, export="safetensors,pt2")

    def run_on(self, call, number, place, after=1, expect=0, **more):
        return common.run(self.command(**more), expect=expect, environment={
            "LD_PRELOAD": str(self.shim), "BROKEN_DISK": f"{call}:{number}:{after}:{place}"})


disks = common.in_directory(Disks)


@disks
def checkpoints_that_cannot_be_written_leave_the_older_ones(d):
    """Training goes on to its artifacts; then the job fails, for where it ended is saved nowhere."""
    d.run(max_steps=8)
    expected = d.undisturbed()
    before = everything_in(d.checkpoints)
    for call, error in ("write", "EIO"), ("fsync", "EIO"), ("open", "EACCES"), ("rename", "EIO"), ("write", "ENOSPC"), ("open", "EROFS"):
        number, text = ERRORS[error]
        output = d.run_on(call, number, d.checkpoints, expect=3, checkpoint_every=3)
        assert "WARNING: no checkpoint of step 9 was written: " in output, output
        assert output.count("lockstep: error:") == 1 and text in output and str(d.checkpoints) in output, output
        assert error != "ENOSPC" or re.search(r"\(\d+\.\d MiB are free there\)", output), output
        assert everything_in(d.checkpoints) == before, f"{call} {error}"
        same(d.result(), expected)
    d.clean()


@disks
def a_disk_that_breaks_for_a_while_is_got_over(d):
    """Only a save in between fails: the last is kept, and nothing is wrong with the job."""
    expected = d.undisturbed()
    with Mounted(d.checkpoints, "4m"):
        full = d.checkpoints / "full"
        full.write_bytes(b"x" * (3 << 20))
        process = d.start(checkpoint_every=1, epochs=2000, max_steps=4000, checkpoint_keep=1, model="cnn")
        said = ""
        for line in process.stdout:
            said += line
            if line.startswith("WARNING: no checkpoint of step"):
                break
        assert "No space left on device" in said and "are free there" in said, said
        full.unlink()
        for line in process.stdout:
            said += line
            if line.startswith("checkpoint "):
                break
        process.send_signal(15)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0 and "the checkpoint is complete" in output, said + output
        assert len(d.steps()) == 1
    assert expected


@disks
def artifacts_that_cannot_be_written_leave_the_older_ones(d):
    d.run(epochs=1)
    before = everything_in(d.model)
    for call, error in ("write", "EIO"), ("fsync", "EIO"), ("open", "EACCES"), ("write", "ENOSPC"), ("open", "EROFS"):
        number, text = ERRORS[error]
        output = d.run_on(call, number, d.model, expect=3)
        assert output.count("lockstep: error:") == 1 and text in output and str(d.model) in output, output
        assert error != "ENOSPC" or "MiB are free there" in output, output
        assert everything_in(d.model) == before, f"{call} {error}"
    with Mounted(d.directory / "small", "64k") as small:
        output = d.run(expect=3, model_dir=small.place)
        assert "No space left on device" in output and str(small.place) in output and "are free there" in output, output
        assert not any(small.place.iterdir())
    d.run()
    d.clean()


@disks
def an_output_directory_that_cannot_be_written_is_named(d):
    """With the job's metrics there is no job: it ends, and says why where it still can."""
    output_dir = d.directory / "output"
    for call, error in ("write", "EIO"), ("write", "ENOSPC"), ("open", "EACCES"), ("open", "EROFS"):
        number, text = ERRORS[error]
        result = subprocess.run([common.BIN / "lockstep", *d.command()], capture_output=True, text=True, timeout=120, env={
            **os.environ, "LD_PRELOAD": str(d.shim), "BROKEN_DISK": f"{call}:{number}:1:{output_dir / 'data'}"})
        output = result.stdout + result.stderr
        assert result.returncode in (2, 3), f"{result.returncode}: {output}"
        assert text in output and str(output_dir) in output and output.count("lockstep: error:") == 1, output
        assert not pathlib.Path(d.model / "model.safetensors").exists(), output


@disks
def a_slow_disk_holds_nothing_up(d):
    """Each write and each sync takes 20 ms more: steps go on meanwhile, save after save, and what comes out is the same."""
    expected = d.with_options(epochs=60).lasting(4).undisturbed()  # several are saved in so long
    for call in "write", "fsync":
        output = d.run_on(call, 0, d.checkpoints, checkpoint_every="continuous")
        same(d.result(), expected)
        assert d.steps()[-1] == 11 * d.options["epochs"], d.steps()
        saves = [float(seconds) for seconds in re.findall(r"written in ([\d.]+) s beside training, which stood still for", output)]
        training = training_seconds(output)
        assert len(saves) > 2 and sum(saves) > training / 2, f"the next begins when the last has ended: {saves} of {training} s"
        subprocess.run(["rm", "-rf", d.checkpoints], check=True)


@disks
def saves_that_are_too_close_are_waited_for(d):
    output = d.run_on("fsync", 0, d.checkpoints, checkpoint_every=1, max_steps=6)
    waited = re.findall(r"training waited [\d.]+ s before the checkpoint of step (\d), for the one before to be written: checkpoint_every is", output)
    assert waited == ["2"], output  # said once
    assert output.count(", written in ") == 6, output


if __name__ == "__main__":
    common.main(checkpoints_that_cannot_be_written_leave_the_older_ones, a_disk_that_breaks_for_a_while_is_got_over,
                artifacts_that_cannot_be_written_leave_the_older_ones, an_output_directory_that_cannot_be_written_is_named,
                a_slow_disk_holds_nothing_up, saves_that_are_too_close_are_waited_for)
