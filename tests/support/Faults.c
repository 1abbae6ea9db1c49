/* Preloaded into the ranks of a job, does to one of them what LOCKSTEP_FAULT says, the LOCKSTEP_FAULT_AT-th time that it comes there
   (0: every time). LOCKSTEP_FAULT_RANK: the rank.

   read_spin, read_sleep: when it reads of a file whose path holds LOCKSTEP_FAULT_FILE; for ever, or LOCKSTEP_FAULT_MS long.
   sync_sleep: when it syncs a file.
   reduce_skip, reduce_leave: when it reduces gradients; not at all, or it ends with 0.
   reduce_fewer: when it reduces gradients, of half as many numbers; it also says so where ranks compare what they are about to do. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <mpi.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static const char* fault(void) {
  const char* rank = getenv("PMIX_RANK");
  const char* wanted = getenv("LOCKSTEP_FAULT_RANK");
  const char* kind = getenv("LOCKSTEP_FAULT");
  return rank && wanted && kind && strcmp(rank, wanted) == 0 ? kind : "";
}

static int number(const char* name) { return getenv(name) ? atoi(getenv(name)) : 0; }

static int it_is_time(const char* kind, atomic_int* times) {
  if (strcmp(fault(), kind) != 0) return 0;
  const int at = number("LOCKSTEP_FAULT_AT");
  return atomic_fetch_add(times, 1) + 1 == at || at == 0;
}

static void rest(void) { usleep(1000 * (useconds_t)number("LOCKSTEP_FAULT_MS")); }

static void before_read(int file) {
  static atomic_int spins, sleeps;
  if (fault()[0] != 'r') return;
  char link[64] = "/proc/self/fd/", path[4096] = {0};
  char digits[16];
  int length = 0;
  for (int rest_of = file; rest_of > 0 || length == 0; rest_of /= 10) digits[length++] = (char)('0' + rest_of % 10);
  char* end = link + strlen(link);
  while (length > 0) *end++ = digits[--length];
  if (readlink(link, path, sizeof path - 1) < 0 || !strstr(path, getenv("LOCKSTEP_FAULT_FILE"))) return;
  if (it_is_time("read_spin", &spins)) {
    for (;;) __asm__ volatile("");
  }
  if (it_is_time("read_sleep", &sleeps)) rest();
}

ssize_t pread(int file, void* bytes, size_t count, off_t offset) {
  static ssize_t (*real)(int, void*, size_t, off_t);
  if (!real) real = (ssize_t(*)(int, void*, size_t, off_t))dlsym(RTLD_NEXT, "pread");
  before_read(file);
  return real(file, bytes, count, offset);
}

ssize_t pread64(int file, void* bytes, size_t count, off64_t offset) { return pread(file, bytes, count, offset); }

int fsync(int file) {
  static int (*real)(int);
  static atomic_int times;
  if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  if (it_is_time("sync_sleep", &times)) rest();
  return real(file);
}

/* Neither is linked: most programs that this is preloaded into have no MPI. */
int MPI_Allreduce(const void* from, void* to, int count, MPI_Datatype type, MPI_Op operation, MPI_Comm ranks) {
  static int (*real)(const void*, void*, int, MPI_Datatype, MPI_Op, MPI_Comm);
  static void* reals;
  static atomic_int skipped, left, fewer;
  if (!real) {
    reals = dlsym(RTLD_DEFAULT, "ompi_mpi_float");
    real = (int (*)(const void*, void*, int, MPI_Datatype, MPI_Op, MPI_Comm))dlsym(RTLD_NEXT, "MPI_Allreduce");
  }
  if ((void*)type == reals) {
    if (it_is_time("reduce_skip", &skipped)) return MPI_SUCCESS;
    if (it_is_time("reduce_leave", &left)) _exit(0);
    if (it_is_time("reduce_fewer", &fewer)) count /= 2;
  }
  return real(from, to, count, type, operation, ranks);
}

/* What ranks compare is four numbers: which, what, of how many, of what (Communicator::compare). */
int MPI_Allgather(const void* from, int count, MPI_Datatype type, void* to, int others, MPI_Datatype theirs, MPI_Comm ranks) {
  static int (*real)(const void*, int, MPI_Datatype, void*, int, MPI_Datatype, MPI_Comm);
  static atomic_int fewer;
  enum { kAllReduce = 0, kFloat32 = 0 };
  uint64_t call[4];
  if (!real) {
    real = (int (*)(const void*, int, MPI_Datatype, void*, int, MPI_Datatype, MPI_Comm))dlsym(RTLD_NEXT, "MPI_Allgather");
  }
  if (from != MPI_IN_PLACE && count == sizeof call) {
    memcpy(call, from, sizeof call);
    if (call[1] == kAllReduce && call[3] == kFloat32 && it_is_time("reduce_fewer", &fewer)) {
      call[2] /= 2;
      from = call;
    }
  }
  return real(from, count, type, to, others, theirs, ranks);
}
