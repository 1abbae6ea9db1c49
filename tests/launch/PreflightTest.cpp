#include "launch/Preflight.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>

#include "common/Error.h"
#include "common/File.h"
#include "launch/PatientOutput.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

TEST(ForeignSettings, AreThoseOfAnotherInstallationOfASiteAndOfAnotherJob) {
  const Environment environment = {{"OMPI_COMM_WORLD_SIZE", "4"},
                                   {"OMPI_MCA_orte_default_hostfile", "/etc/hosts.site"},
                                   {"OMPI_MCA_rmaps_base_no_oversubscribe", "1"},
                                   {"OPAL_PREFIX", "/opt/other"},
                                   {"PMIX_RANK", "3"},
                                   {"PRTE_MCA_rmaps_default_mapping_policy", "core"}};
  Words names;
  for (const auto& [name, value] : environment) names.push_back(name);
  EXPECT_EQ(foreign_settings(environment, "/usr/bin/mpirun", Launcher::kConnection), names);
}

TEST(ForeignSettings, AreWhatSchedulersTellAnMpirun) {
  EXPECT_EQ(
      foreign_settings({{"HOME", "/"},
                        {"JOB_ID", "7"},
                        {"LSB_HOSTS", "a b"},
                        {"OMPI_MCA_pmix", "ext3x"},
                        {"PBS_NODEFILE", "/f"},
                        {"PE_HOSTFILE", "/f"},
                        {"PMI_FD", "3"},
                        {"SGE_ROOT", "/sge"},
                        {"SLURM_NODELIST", "n[1-2]"}},
                       "/usr/bin/mpirun", Launcher::kConnection),
      (Words{"LSB_HOSTS", "OMPI_MCA_pmix", "PBS_NODEFILE", "PE_HOSTFILE", "PMI_FD", "SGE_ROOT", "SLURM_NODELIST"}));
}

TEST(ForeignSettings, HowSshReachesHostsIsMeantForALauncherThatUsesIt) {
  const Environment environment = {{"OMPI_MCA_plm_rsh_args", "-p 2222"}};
  EXPECT_EQ(foreign_settings(environment, "/usr/bin/mpirun", Launcher::kSsh), Words());
  EXPECT_EQ(foreign_settings(environment, "/usr/bin/mpirun", Launcher::kConnection), Words{"OMPI_MCA_plm_rsh_args"});
}

TEST(ForeignSettings, WhatIsMeantForThisMpirunStays) {
  EXPECT_EQ(foreign_settings({{"OMPI_ALLOW_RUN_AS_ROOT", "1"},
                              {"OMPI_MCA_btl_tcp_if_include", "eth1"},
                              {"OMPI_MCA_coll_tuned_use_dynamic_rules", "1"},
                              {"OMPI_MCA_plm_base_verbose", "5"},
                              {"OPAL_PREFIX", "/opt/openmpi"},
                              {"PATH", "/usr/bin"},
                              {"SM_HOSTS", "[]"}},
                             "/opt/openmpi/bin/mpirun", Launcher::kConnection),
            Words());
}

TEST(PrivateDirectory, IsGoneWithAllThatIsInIt) {
  const TemporaryDirectory directory;
  {
    const PrivateDirectory own(directory.path(), 4096);
    EXPECT_TRUE(fs::is_empty(own.path()));
    fs::create_directories(own.path() / "a/b");
    EXPECT_EQ(fs::status(own.path()).permissions(), fs::perms::owner_all);
  }
  EXPECT_TRUE(fs::is_empty(directory.path()));
}

TEST(PrivateDirectory, SaysWhatIsInTheWay) {
  const TemporaryDirectory directory;
  EXPECT_ERROR(PrivateDirectory(directory / "none", 1), SystemError, "/none", "No such file");
  EXPECT_ERROR(PrivateDirectory(directory.path(), std::size_t{1} << 60), SystemError, directory.path().string(),
               "no room");
  EXPECT_TRUE(fs::is_empty(directory.path()));
}

TEST(MpiSettings, AreTakenUnlessTheUserHasSetThem) {
  ::setenv("OMPI_MCA_btl_of_user", "user", 1);
  take_mpi_settings({{"LOCKSTEP_MPI_btl_of_user", "launcher"}, {"LOCKSTEP_MPI_btl_of_host", "launcher"}, {"A", "b"}});
  EXPECT_STREQ(::getenv("OMPI_MCA_btl_of_user"), "user");
  EXPECT_STREQ(::getenv("OMPI_MCA_btl_of_host"), "launcher");
  ::unsetenv("OMPI_MCA_btl_of_user");
  ::unsetenv("OMPI_MCA_btl_of_host");
}

/// A pipe, its output and somebody to note things to.
class PatientOutputTest : public ::testing::Test {
 protected:
  PatientOutputTest() {
    ::signal(SIGPIPE, SIG_IGN);
    int ends[2] = {-1, -1};
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    reader_ = FileDescriptor(ends[0]);
    writer_ = FileDescriptor(ends[1]);
  }
  ~PatientOutputTest() override { ::signal(SIGPIPE, SIG_DFL); }

  // All that is in the pipe.
  std::string take() {
    std::string text;
    char piece[4096];
    for (pollfd entry{.fd = reader_.get(), .events = POLLIN, .revents = 0}; ::poll(&entry, 1, 0) > 0;) {
      text.append(piece, static_cast<std::size_t>(::read(reader_.get(), piece, sizeof piece)));
    }
    return text;
  }

  FileDescriptor reader_;
  FileDescriptor writer_;
  std::ostringstream notes_;
};

TEST_F(PatientOutputTest, HandsOverWhatIsFlushed) {
  std::ostringstream stream;
  PatientOutput output(stream, writer_.get(), &notes_);
  stream << "one " << 2 << std::endl;
  EXPECT_EQ(take(), "one 2\n");
  EXPECT_EQ(output.waiting_file(), -1);
}

TEST_F(PatientOutputTest, KeepsWhatIsNotReadAndNeverWaits) {
  std::ostringstream stream;
  PatientOutput output(stream, writer_.get(), &notes_);
  const std::string line(99, 'x');
  for (int i = 0; i < 5000; ++i) stream << line << std::endl;
  EXPECT_EQ(output.waiting_file(), writer_.get());
  std::string all;
  while (output.waiting_file() >= 0) {
    all += take();
    output.drain();
  }
  all += take();
  EXPECT_EQ(all.size(), 500000);
  EXPECT_EQ(notes_.str(), "");
}

TEST_F(PatientOutputTest, SaysHowMuchItHasLeftOut) {
  std::ostringstream stream;
  PatientOutput output(stream, writer_.get(), &notes_);
  const std::string line(999, 'x');
  for (int i = 0; i < 2000; ++i) stream << line << std::endl;
  std::string all;
  while (output.waiting_file() >= 0) {
    all += take();
    output.drain();
  }
  all += take();
  EXPECT_LT(all.size(), 1200000);
  EXPECT_NE(all.find(" bytes of output are left out here"), std::string::npos);
}

TEST_F(PatientOutputTest, NotesOnceThatItsReaderHasGone) {
  std::ostringstream stream;
  PatientOutput output(stream, writer_.get(), &notes_);
  reader_ = FileDescriptor();
  for (int i = 0; i < 3; ++i) stream << "x" << std::endl;
  EXPECT_EQ(output.waiting_file(), -1);
  EXPECT_EQ(notes_.str(), "lockstep: nobody reads this program's output any more; the job goes on: Broken pipe\n");
  EXPECT_TRUE(stream.good());
}

}  // namespace
}  // namespace lockstep
