// The main function of tests that run under mpirun: every rank runs every test, and a test that fails on one
// rank fails on all. Only rank 0 reports tests; the others print what failed on them. A test that hangs is
// named and ended.
#include <gtest/gtest.h>
#include <mpi.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/support/MpiTest.h"

namespace lockstep {

namespace {

constexpr unsigned kSecondsPerTest = 40;

const MpiSession* session = nullptr;
std::string hang_message;  // a signal handler may not build it

void end_hanging_test(int) {
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, hang_message.data(), hang_message.size());
  ::_exit(EXIT_FAILURE);  // mpirun ends the other ranks
}

/// Begins and ends each test in step with the other ranks.
class Ranks : public testing::EmptyTestEventListener {
 public:
  explicit Ranks(int rank) : rank_(rank) {}

 private:
  void OnTestStart(const testing::TestInfo& test) override {
    hang_message = "rank " + std::to_string(rank_) + ": " + test.test_suite_name() + "." + test.name() +
                   " hangs: ended after " + std::to_string(kSecondsPerTest) + " s\n";
    ::alarm(kSecondsPerTest);
  }

  void OnTestPartResult(const testing::TestPartResult& part) override {
    if (rank_ == 0 || !part.failed()) return;
    std::fprintf(stderr, "rank %d: %s:%d: %s\n", rank_, part.file_name(), part.line_number(), part.message());
  }

  void OnTestEnd(const testing::TestInfo& test) override {
    int failed = test.result()->Failed() ? 1 : 0;
    int failed_ranks = 0;
    MPI_Allreduce(&failed, &failed_ranks, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    ::alarm(0);
    if (failed == 0 && failed_ranks > 0) {
      GTEST_NONFATAL_FAILURE_(("failed on " + std::to_string(failed_ranks) + " other ranks").c_str());
    }
  }

  int rank_;
};

// A process that was started by another MPI's mpirun, or by none, finds itself alone and would test nothing.
bool all_ranks_are_here(int size) {
  const char* expected = std::getenv("OMPI_COMM_WORLD_SIZE");
  if (expected != nullptr && std::to_string(size) == expected) return true;
  std::fprintf(stderr, "mpirun started %s ranks, MPI sees %d; run this test with the mpirun of the MPI it links\n",
               expected == nullptr ? "no" : expected, size);
  return false;
}

int run_tests() {
  int rank = 0;
  int size = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (!all_ranks_are_here(size)) return EXIT_FAILURE;
  auto& listeners = testing::UnitTest::GetInstance()->listeners();
  if (rank != 0) delete listeners.Release(listeners.default_result_printer());
  listeners.Append(new Ranks(rank));
  std::signal(SIGALRM, end_hanging_test);
  return RUN_ALL_TESTS();
}

}  // namespace

const MpiSession& mpi_session() { return *session; }

}  // namespace lockstep

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const lockstep::MpiSession mpi;
  lockstep::session = &mpi;
  return lockstep::run_tests();
}
