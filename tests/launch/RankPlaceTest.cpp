#include "launch/RankPlace.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "common/Error.h"
#include "launch/Connection.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

Environment with(Environment environment, const Environment& more) {
  for (const auto& [name, value] : more) environment[name] = value;
  return environment;
}

Environment without(Environment environment, const std::string& name) {
  environment.erase(name);
  return environment;
}

// As OpenMPI 4.1.4 and 5.0 set them.
Environment of_mpirun() {
  return {{"OMPI_COMM_WORLD_RANK", "5"},
          {"OMPI_COMM_WORLD_SIZE", "8"},
          {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
          {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"},
          {"PMIX_RANK", "5"},
          {"PMIX_NAMESPACE", "2301624321"},
          {"PMIX_SERVER_URI2", "2301624320.0;tcp4://127.0.0.1:40123"}};
}

// As Slurm 22.05 does with --mpi=pmix.
Environment of_srun() {
  return {{"PMIX_RANK", "6"},
          {"PMIX_NAMESPACE", "slurm.pmix.12.3"},
          {"PMIX_SERVER_URI41", "pmix-server.24;tcp4://127.0.0.1:46029"},
          {"SLURM_JOB_ID", "12"},
          {"SLURM_STEP_ID", "3"},
          {"SLURM_NTASKS", "7"},
          {"SLURM_STEP_NUM_TASKS", "7"},
          {"SLURM_LOCALID", "0"}};
}

TEST(RankPlace, IsNothingOutsideOfMpirunAndSrun) {
  EXPECT_FALSE(rank_place({}));
  EXPECT_FALSE(rank_place({{"SLURM_NTASKS", "4"}, {"SLURM_PROCID", "0"}}));  // an sbatch script
}

TEST(RankPlace, OfOpenMpi) {
  const auto place = rank_place(with(of_mpirun(), {{"SLURM_TASKS_PER_NODE", "1(x2)"},  // mpirun in an allocation
                                                   {"SLURM_NODEID", "0"},
                                                   {"SLURM_PROCID", "0"}}));
  ASSERT_TRUE(place);
  EXPECT_EQ(place->rank, 5);
  EXPECT_EQ(place->ranks, 8);
  EXPECT_EQ(place->local_rank, 1);
  EXPECT_EQ(place->ranks_on_host, 4);
}

TEST(RankPlace, OfSrun) {
  Environment environment = of_srun();
  EXPECT_EQ(rank_place(environment)->ranks, 7);
  EXPECT_EQ(rank_place(environment)->local_rank, 0);
  EXPECT_EQ(rank_place(environment)->ranks_on_host, std::nullopt);
  environment["SLURM_STEP_TASKS_PER_NODE"] = "2(x3),1";
  for (const auto& [node, tasks] : {std::pair{"0", 2}, {"2", 2}, {"3", 1}}) {
    environment["SLURM_NODEID"] = node;
    EXPECT_EQ(rank_place(environment)->ranks_on_host, tasks) << node;
  }
  environment["SLURM_NODEID"] = "4";
  EXPECT_EQ(rank_place(environment)->ranks_on_host, std::nullopt);
}

TEST(RankPlace, OfAnotherLauncherThatSpeaksPmix) {
  const auto place =
      rank_place({{"PMIX_RANK", "1"}, {"PMIX_NAMESPACE", "f1"}, {"PMIX_SERVER_URI2", "f.0;tcp4://127.0.0.1:1"}});
  EXPECT_EQ(place->rank, 1);
  EXPECT_EQ(place->ranks, 0);
  EXPECT_EQ(place->local_rank, -1);
}

// An interactive shell, as srun --pty starts it: a job there may have several ranks, which it starts itself.
TEST(RankPlace, TheOnlyTaskOfAStepIsNone) {
  EXPECT_FALSE(rank_place(with(of_srun(), {{"PMIX_RANK", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}})));
}

// Who is a rank is decided from evidence that agrees.
TEST(RankPlace, RefusesEvidenceThatDoesNotAgree) {
  EXPECT_ERROR(rank_place({{"PMI_RANK", "0"}, {"PMI_SIZE", "1"}}), InputError, "PMI_RANK=0", "--mpi=pmix",
               "env -u PMI_RANK lockstep");
  EXPECT_ERROR(rank_place({{"PMIX_RANK", "0"}}), InputError, "PMIX_RANK=0", "PMIX_NAMESPACE is not set",
               "env -u PMIX_RANK lockstep");
  EXPECT_ERROR(rank_place({{"PMIX_RANK", "a"}}), InputError, "PMIX_RANK is \"a\"");
  EXPECT_ERROR(rank_place(without(of_mpirun(), "PMIX_SERVER_URI2")), InputError, "PMIX_SERVER_URI is not set");
  EXPECT_ERROR(rank_place(without(of_mpirun(), "PMIX_RANK")), InputError, "OMPI_COMM_WORLD_RANK=5",
               "PMIX_RANK is not set", "env -u OMPI_COMM_WORLD_RANK lockstep");
  EXPECT_ERROR(rank_place(with(of_mpirun(), {{"PMIX_RANK", "1"}})), InputError, "OMPI_COMM_WORLD_RANK=5",
               "PMIX_RANK=1");
  // srun from a shell that mpirun has started.
  EXPECT_ERROR(rank_place(with(of_srun(), {{"OMPI_COMM_WORLD_RANK", "6"}})), InputError, "OMPI_COMM_WORLD_RANK=6",
               "PMIX_NAMESPACE=slurm.pmix.12.3");
  // sbatch, and srun without PMIx, from a shell that srun has started.
  EXPECT_ERROR(rank_place(with(of_srun(), {{"SLURM_JOB_ID", "13"}})), InputError, "PMIX_RANK=6", "SLURM_JOB_ID=13");
  EXPECT_ERROR(rank_place(with(of_srun(), {{"SLURM_STEP_ID", "4"}})), InputError, "SLURM_STEP_ID=4");
  EXPECT_ERROR(rank_place(without(of_srun(), "SLURM_STEP_ID")), InputError, "SLURM_STEP_ID is not set");
}

TEST(RankPlace, RefusesALauncherThatIsGone) {
  require_running_launcher({});
  require_running_launcher({{"PMIX_SERVER_URI", "usock:/tmp/somewhere"}});
  Environment environment = of_mpirun();
  int port = 0;
  for (int candidate = 20000; port == 0; ++candidate) {
    try {
      const FileDescriptor listener = listen_on_port(candidate);
      environment["PMIX_SERVER_URI2"] = "1.0;tcp4://127.0.0.1:" + std::to_string(candidate);
      require_running_launcher(environment);
      port = candidate;
    } catch (const InputError&) {  // somebody has it
    }
  }
  EXPECT_ERROR(require_running_launcher(environment), InputError, "PMIX_SERVER_URI2", "nobody answers there");
}

TEST(RankPlace, KnowsTasksOfSrunThatAreNoRanks) {
  const Environment step = {{"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "2"}};
  EXPECT_EQ(tasks_without_mpi(step), 2);
  EXPECT_EQ(tasks_without_mpi(with(step, {{"PMIX_RANK", "0"}})), 1);
  EXPECT_EQ(tasks_without_mpi({{"SLURM_NTASKS", "4"}}), 1);  // an sbatch script
  EXPECT_EQ(tasks_without_mpi({}), 1);
}

TEST(RankPlace, KnowsWhatGpusSlurmHasAllocated) {
  EXPECT_EQ(gpus_by_scheduler({{"SLURM_JOB_ID", "1"}, {"SLURM_GPUS_ON_NODE", "2"}}), 2);
  EXPECT_EQ(gpus_by_scheduler({{"SLURM_JOB_ID", "1"}}), 0);
  EXPECT_EQ(gpus_by_scheduler({}), 0);
}

}  // namespace
}  // namespace lockstep
