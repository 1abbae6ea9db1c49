#include "launch/RankPlace.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

TEST(RankPlace, IsNothingOutsideOfMpirunAndSrun) {
  EXPECT_FALSE(rank_place({}));
  EXPECT_FALSE(rank_place({{"SLURM_NTASKS", "4"}, {"SLURM_PROCID", "0"}}));  // an sbatch script
}

TEST(RankPlace, OfOpenMpi) {
  const auto place = rank_place({{"OMPI_COMM_WORLD_RANK", "5"},
                                 {"OMPI_COMM_WORLD_SIZE", "8"},
                                 {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                                 {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"},
                                 {"SLURM_TASKS_PER_NODE", "1(x2)"},  // mpirun in an allocation
                                 {"SLURM_NODEID", "0"}});
  ASSERT_TRUE(place);
  EXPECT_EQ(place->rank, 5);
  EXPECT_EQ(place->ranks, 8);
  EXPECT_EQ(place->local_rank, 1);
  EXPECT_EQ(place->ranks_on_host, 4);
}

TEST(RankPlace, OfSrun) {
  Environment environment = {{"PMIX_RANK", "6"}, {"SLURM_NTASKS", "7"}, {"SLURM_LOCALID", "0"}};
  EXPECT_EQ(rank_place(environment)->ranks, 7);
  EXPECT_EQ(rank_place(environment)->local_rank, 0);
  EXPECT_EQ(rank_place(environment)->ranks_on_host, std::nullopt);
  environment["SLURM_NTASKS_PER_NODE"] = "2";
  EXPECT_EQ(rank_place(environment)->ranks_on_host, 2);
  environment["SLURM_STEP_TASKS_PER_NODE"] = "2(x3),1";
  for (const auto& [node, tasks] : {std::pair{"0", 2}, {"2", 2}, {"3", 1}}) {
    environment["SLURM_NODEID"] = node;
    EXPECT_EQ(rank_place(environment)->ranks_on_host, tasks) << node;
  }
  environment["SLURM_NODEID"] = "4";
  EXPECT_EQ(rank_place(environment)->ranks_on_host, std::nullopt);
}

TEST(RankPlace, OfAnotherMpi) {
  const auto place = rank_place({{"PMI_RANK", "1"}, {"PMI_SIZE", "4"}});
  EXPECT_EQ(place->ranks, 4);
  EXPECT_EQ(place->local_rank, -1);
}

}  // namespace
}  // namespace lockstep
