#include "launch/MpiRun.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "common/Error.h"
#include "launch/MpirunMessages.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

Topology topology(int ranks) {
  return {.hosts = {{.name = "localhost", .ranks = ranks, .threads_per_rank = 1}}, .warnings = {}};
}

using Words = std::vector<std::string>;

// As a person would type them.
std::string line_of(int major, const Topology& topology, const MpiRunOptions& options) {
  return shell_quoted(mpirun_command({.major = major}, topology, options, {"/bin/lockstep", "train", "a b"}));
}

TEST(MpiRunCommand, OneHost) {
  EXPECT_EQ(line_of(4, topology(2), {.root = true}),
            "mpirun -np 2 --allow-run-as-root --bind-to none --map-by slot:OVERSUBSCRIBE --mca pml ob1 --mca btl "
            "self,vader --mca plm isolated --mca mpi_yield_when_idle 1 /bin/lockstep train 'a b'");
  EXPECT_EQ(line_of(5, topology(4), {}),
            "mpirun -np 4 --bind-to none --map-by slot:oversubscribe --mca pml ob1 --mca btl self,sm --mca "
            "mpi_yield_when_idle 1 /bin/lockstep train 'a b'");
}

TEST(MpiRunCommand, SeveralHosts) {
  const Topology hosts{.hosts = {{.name = "algo-1", .ranks = 2}, {.name = "algo-2", .ranks = 8}}, .warnings = {}};
  const MpiRunOptions options{.own_name = "ip-10-0-0-1", .agent = "/bin/lockstep remote-start", .interfaces = "eth0"};
  EXPECT_EQ(line_of(4, hosts, options),
            "mpirun -np 10 --bind-to none --map-by slot:OVERSUBSCRIBE --host ip-10-0-0-1:2,algo-2:8 --mca pml ob1 "
            "--mca btl self,vader,tcp --mca btl_tcp_if_include eth0 --mca oob_tcp_if_include eth0 --mca "
            "orte_keep_fqdn_hostnames 1 --mca plm rsh --mca plm_rsh_agent "
            "'/bin/lockstep remote-start' --mca plm_rsh_no_tree_spawn 1 --leave-session-attached --mca "
            "mpi_yield_when_idle 1 /bin/lockstep train 'a b'");
  EXPECT_EQ(
      line_of(5, hosts, options),
      "mpirun -np 10 --bind-to none --map-by slot:oversubscribe --host ip-10-0-0-1:2,algo-2:8 --mca pml ob1 --mca "
      "btl self,sm,tcp --mca btl_tcp_if_include eth0 --prtemca prte_if_include eth0 --prtemca plm ssh --prtemca "
      "plm_ssh_agent "
      "'/bin/lockstep remote-start' --prtemca plm_ssh_no_tree_spawn 1 --leave-session-attached --mca "
      "mpi_yield_when_idle 1 /bin/lockstep train 'a b'");
}

TEST(MpiRunCommand, RefusesTheWordThatStartsAnotherProgram) {
  EXPECT_ERROR(mpirun_command({}, topology(1), {}, {"lockstep", "train", "--output_dir", ":"}), InputError, "\":\"",
               "--NAME=:");
  EXPECT_EQ(mpirun_command({}, topology(1), {}, {"lockstep", "--output_dir=:"}).back(), "--output_dir=:");
}

TEST(FindMpirun, FindsTheOneThatIsInstalled) {
  const MpiRun mpirun = find_mpirun();
  EXPECT_TRUE(mpirun.major == 4 || mpirun.major == 5);
  EXPECT_TRUE(mpirun.version.starts_with(std::to_string(mpirun.major) + ".")) << mpirun.version;
  EXPECT_TRUE(std::filesystem::exists(mpirun.directory + (mpirun.major == 4 ? "/orted" : "/prted")));
}

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
  EXPECT_FALSE(messages.lost_rank().has_value());
}

TEST(MpirunMessages, HidesThatASignalWasHandedOn) {
  MpirunMessages messages;
  EXPECT_EQ(shown(messages, {"before", "mpirun: Forwarding signal 10 to job", "after"}), (Words{"before", "after"}));
}

TEST(MpirunMessages, KeepsWhichRankASignalEnded) {
  MpirunMessages messages;
  EXPECT_EQ(shown(messages,
                  {kDashes, "mpirun noticed that process rank 1 with PID 17722 on node vm exited on signal 9 (Killed).",
                   kDashes}),
            Words());
  ASSERT_TRUE(messages.lost_rank());
  EXPECT_EQ(messages.lost_rank()->rank, 1);
  EXPECT_EQ(messages.lost_rank()->how, "was ended by signal 9 (Killed)");
}

TEST(MpirunMessages, AlsoWhenTheMessageIsBroken) {
  MpirunMessages messages;
  shown(messages, {kDashes, "prterun noticed that process rank 3 with PID 5 on node vm exited on",
                   "signal 11 (Segmentation fault).", kDashes});
  ASSERT_TRUE(messages.lost_rank());
  EXPECT_EQ(messages.lost_rank()->rank, 3);
  EXPECT_EQ(messages.lost_rank()->how, "was ended by signal 11 (Segmentation fault)");
}

TEST(MpirunMessages, KeepsWhichRankHasLeftWithoutAWord) {
  MpirunMessages messages;
  shown(messages, {kDashes, "mpirun has exited due to process rank 3 with PID 0 on",
                   "node algo-2 exiting improperly. There are three reasons this could occur:", kDashes});
  ASSERT_TRUE(messages.lost_rank());
  EXPECT_EQ(messages.lost_rank()->rank, 3);
  EXPECT_NE(messages.lost_rank()->how.find("MPI_Finalize"), std::string::npos);
  MpirunMessages other;
  shown(other,
        {kDashes, "mpirun has exited due to process rank 3 with PID 0 on", "node algo-2 calling \"abort\".", kDashes});
  EXPECT_FALSE(other.lost_rank());
}

TEST(MpirunMessages, KnowsOneMessageAfterAnother) {
  MpirunMessages messages;
  EXPECT_EQ(
      shown(messages, {kDashes, "something else", kDashes, kDashes,
                       "mpirun noticed that process rank 2 with PID 12 on node algo-2 exited on signal 9 (Killed).",
                       kDashes, kDashes, "An MPI communication peer process has unexpectedly disconnected.  This",
                       "usually indicates a failure", kDashes, "end"}),
      (Words{kDashes, "something else", kDashes, "end"}));
  ASSERT_TRUE(messages.lost_rank());
  EXPECT_EQ(messages.lost_rank()->rank, 2);
}

// What a job that could not be started says of the reason.
TEST(MpirunMessages, KnowsWhatTellsWhyTheRanksHaveNotStarted) {
  const auto telling = [](const Words& lines) {
    MpirunMessages messages;
    shown(messages, lines);
    return messages.error().empty() ? messages.telling() : messages.error();
  };
  EXPECT_EQ(telling({"a note", kDashes, "A call to mkdir was unable to create the directory:", "", "  Directory: /x",
                     "  Error:     Read-only file system", kDashes,
                     "[vm:1] ORTE_ERROR_LOG: Error in file a.c at line 1", kDashes, "another message", kDashes}),
            "A call to mkdir was unable to create the directory: Directory: /x Error:     Read-only file system");
  const std::string loader =
      "lockstep-rank: error while loading shared libraries: libtorch.so: cannot open shared object file";
  EXPECT_EQ(telling({"[vm:1] an error of no weight", loader, kDashes, "Primary job  terminated normally", kDashes}),
            loader);
  EXPECT_EQ(telling({"*** stack smashing detected ***: terminated"}), "*** stack smashing detected ***: terminated");
  EXPECT_EQ(telling({kDashes, "a warning", "lockstep: error: why", kDashes}), "why");
  EXPECT_EQ(telling({"nothing of note"}), "");
  EXPECT_LT(telling({kDashes, std::string(5000, 'x'), std::string(5000, 'y'), kDashes}).size(), 500);
}

TEST(MpirunMessages, ShowsEverythingElse) {
  MpirunMessages messages;
  const Words other = {kDashes, "There are not enough slots available in the system to satisfy the 2", "slots", kDashes,
                       "end"};
  EXPECT_EQ(shown(messages, other), other);
}

}  // namespace
}  // namespace lockstep
