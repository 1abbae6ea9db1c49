#include "launch/MpiRun.h"

#include <gtest/gtest.h>

#include "common/Error.h"
#include "launch/MpirunMessages.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

Topology topology(int ranks) {
  return {.hosts = {{.name = "localhost", .ranks = ranks, .threads_per_rank = 1}}, .warnings = {}};
}

using Words = std::vector<std::string>;

TEST(MpiRunCommand, OpenMpi4) {
  EXPECT_EQ(mpirun_command({.path = "mpirun", .major = 4}, topology(2), {.root = true, .threads = 3, .terminal = true},
                           {"/bin/lockstep", "train", "a b"}),
            (Words{"mpirun",
                   "-np",
                   "2",
                   "--allow-run-as-root",
                   "--bind-to",
                   "none",
                   "--map-by",
                   "slot:OVERSUBSCRIBE",
                   "--mca",
                   "pml",
                   "ob1",
                   "--mca",
                   "btl",
                   "self,vader",
                   "--mca",
                   "plm",
                   "isolated",
                   "--mca",
                   "mpi_yield_when_idle",
                   "1",
                   "-x",
                   "LOCKSTEP_TERMINAL=1",
                   "-x",
                   "LOCKSTEP_THREADS=3",
                   "/bin/lockstep",
                   "train",
                   "a b"}));
}

TEST(MpiRunCommand, OpenMpi5) {
  EXPECT_EQ(mpirun_command({.path = "mpirun", .major = 5}, topology(4), {}, {"/bin/lockstep", "train"}),
            (Words{"mpirun",
                   "-np",
                   "4",
                   "--bind-to",
                   "none",
                   "--map-by",
                   "slot:oversubscribe",
                   "--mca",
                   "pml",
                   "ob1",
                   "--mca",
                   "btl",
                   "self,sm",
                   "--mca",
                   "mpi_yield_when_idle",
                   "1",
                   "-x",
                   "LOCKSTEP_TERMINAL=0",
                   "-x",
                   "LOCKSTEP_THREADS=1",
                   "/bin/lockstep",
                   "train"}));
}

TEST(MpiRunCommand, RefusesTheWordThatStartsAnotherProgram) {
  EXPECT_ERROR(mpirun_command({}, topology(1), {}, {"lockstep", "train", "--output_dir", ":"}), InputError, "\":\"",
               "--NAME=:");
  EXPECT_EQ(mpirun_command({}, topology(1), {}, {"lockstep", "--output_dir=:"}).back(), "--output_dir=:");
}

TEST(FindMpirun, FindsTheOneThatIsInstalled) { EXPECT_TRUE(find_mpirun().major == 4 || find_mpirun().major == 5); }

TEST(ShellQuoted, QuotesWhatAShellWouldChange) {
  EXPECT_EQ(shell_quoted({"mpirun", "--mca", "btl", "self,vader", "LOCKSTEP_TERMINAL=1"}),
            "mpirun --mca btl self,vader LOCKSTEP_TERMINAL=1");
  EXPECT_EQ(shell_quoted({"a b", "it's", "$HOME", "", "☃"}), R"('a b' 'it'\''s' '$HOME' '' '☃')");
}

std::vector<std::string> shown(MpirunMessages& messages, const std::vector<std::string>& lines) {
  std::vector<std::string> all;
  for (const std::string& line : lines) {
    for (const std::string& passed : messages.take(line)) all.push_back(passed);
  }
  return all;
}

const std::string kDashes(74, '-');

TEST(MpirunMessages, HidesWhatOnlySaysThatARankHasEnded) {
  MpirunMessages messages;
  EXPECT_EQ(
      shown(messages, {"lockstep: error: why", kDashes, "Primary job  terminated normally, but 1 process returned",
                       "a non-zero exit code. Per user-direction, the job has been aborted.", kDashes, "after"}),
      (Words{"lockstep: error: why", "after"}));
  EXPECT_FALSE(messages.killed_rank().has_value());
}

TEST(MpirunMessages, KeepsWhichRankASignalEnded) {
  MpirunMessages messages;
  EXPECT_EQ(shown(messages,
                  {kDashes, "mpirun noticed that process rank 1 with PID 17722 on node vm exited on signal 9 (Killed).",
                   kDashes}),
            Words());
  EXPECT_EQ(messages.killed_rank(), "rank 1 was ended by signal 9 (Killed)");
}

TEST(MpirunMessages, AlsoWhenTheMessageIsBroken) {
  MpirunMessages messages;
  shown(messages, {kDashes, "prterun noticed that process rank 3 with PID 5 on node vm exited on",
                   "signal 11 (Segmentation fault).", kDashes});
  EXPECT_EQ(messages.killed_rank(), "rank 3 was ended by signal 11 (Segmentation fault)");
}

TEST(MpirunMessages, ShowsEverythingElse) {
  MpirunMessages messages;
  const Words other = {kDashes, "There are not enough slots available in the system to satisfy the 2", "slots", kDashes,
                       "end"};
  EXPECT_EQ(shown(messages, other), other);
}

}  // namespace
}  // namespace lockstep
