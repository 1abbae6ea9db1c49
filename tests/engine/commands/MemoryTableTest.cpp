#include "engine/commands/MemoryTable.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

constexpr std::int64_t kMib = 1 << 20;

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(MemoryTable, SaysWhoHoldsWhatAndWhatToChange) {
  const TemporaryDirectory root;
  std::filesystem::create_directories(root.path() / "proc/self");
  std::filesystem::create_directories(root.path() / "sys/fs/cgroup");
  std::ofstream(root.path() / "proc/self/status") << "VmHWM: 2048 kB\nVmRSS: 1024 kB\n";
  std::ofstream(root.path() / "proc/meminfo") << "MemTotal: 8192 kB\nMemAvailable: 3072 kB\n";
  std::ofstream(root.path() / "sys/fs/cgroup/memory.max") << 4 * kMib << "\n";
  const std::string text = memory_table({.by_training = MemoryUse{.parameters = 1200 * kMib,
                                                                  .gradients = 20 * kMib,
                                                                  .optimizer = 40 * kMib,
                                                                  .average = 30 * kMib,
                                                                  .best = 50 * kMib,
                                                                  .checkpoint = 70 * kMib},
                                         .most = 2000 * kMib,
                                         .device = "2 threads",
                                         .ranks_on_host = 4,
                                         .samples_at_once = 32},
                                        root.path());
  for (const char* line :
       {"1,200 MiB  parameters\n", "20 MiB  gradients\n", "40 MiB  optimizer\n", "70 MiB  copy for checkpoints\n",
        "30 MiB  average of the weights\n", "50 MiB  best state, from the first evaluation on\n",
        " 640 MiB  at most of all else", " 1 MiB  of the host, this process now\n", " 3 MiB  free on the host\n",
        " 8 MiB  that the host has\n", " 4 MiB  that this container may have\n", "micro_batch_size (it is 32)",
        "fewer than 4 ranks", "2 threads"}) {
    EXPECT_TRUE(has(text, line)) << line << text;
  }
}

TEST(MemoryTable, TheCopyForCheckpointsIsNoMemoryOfAGpu) {
  const TemporaryDirectory root;
  const std::string text = memory_table(
      {.by_training = MemoryUse{.parameters = kMib, .checkpoint = 3 * kMib}, .most = 5 * kMib, .on_gpu = true},
      root.path());
  EXPECT_TRUE(has(text, " 3 MiB  of the host, copy for checkpoints\n")) << text;
  EXPECT_TRUE(has(text, " 4 MiB  at most of all else")) << text;
}

TEST(MemoryTable, ALimitThatIsNoneIsNotShown) {
  const TemporaryDirectory root;
  std::filesystem::create_directories(root.path() / "sys/fs/cgroup");
  std::ofstream(root.path() / "sys/fs/cgroup/memory.max") << "max\n";
  const std::string text = memory_table({.most = 5 * kMib, .samples_at_once = 1}, root.path());
  EXPECT_TRUE(has(text, " 5 MiB  at most of all else"));
  EXPECT_FALSE(has(text, "container")) << text;
  EXPECT_FALSE(has(text, "micro_batch_size")) << text;
}

}  // namespace
}  // namespace lockstep
