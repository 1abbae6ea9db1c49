#include "launch/Efa.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

void write(const fs::path& path, const std::string& text = "") {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text << "\n";
}

void add_device(const fs::path& root, const std::string& name, const std::string& vendor, const std::string& device) {
  write(root / "dev/infiniband" / name);
  write(root / "sys/class/infiniband_verbs" / name / "device/vendor", vendor);
  write(root / "sys/class/infiniband_verbs" / name / "device/device", device);
}

void add_present(const fs::path& root, const std::string& address) {
  write(root / "sys/bus/pci/devices" / address / "vendor", "0x1d0f");
  write(root / "sys/bus/pci/devices" / address / "device", "0xefa2");
}

TEST(Efa, NothingWithoutDevices) {
  const TemporaryDirectory root;
  EXPECT_EQ(find_efa({}, root.path()).devices, 0);
  add_device(root.path(), "uverbs0", "0x15b3", "0x1021");  // another maker's
  write(root / "dev/infiniband/rdma_cm");
  write(root / "sys/class/infiniband_verbs/uverbs1/device/vendor", "0x1d0f");  // the host's, not given to the container
  write(root / "opt/amazon/ofi-nccl/lib/libnccl-net.so");
  write(root / "sys/bus/pci/devices/0000:00:05.0/vendor", "0x1d0f");  // AWS's network card, no EFA
  write(root / "sys/bus/pci/devices/0000:00:05.0/device", "0xec20");
  const Efa efa = find_efa({}, root.path());
  EXPECT_EQ(efa.devices + efa.present, 0);
  EXPECT_TRUE(efa.variables.empty());
  EXPECT_EQ(efa.description() + efa.obstacle(), "");
}

// The instance has them, and who starts the container has forgotten them.
TEST(Efa, DevicesThatTheContainerIsNotGivenAreAnObstacle) {
  const TemporaryDirectory root;
  add_present(root.path(), "0000:00:1b.0");
  add_present(root.path(), "0000:00:1c.0");
  write(root / "opt/amazon/ofi-nccl/lib/libnccl-net-ofi.so");
  const Efa efa = find_efa({}, root.path());
  EXPECT_EQ(efa.present, 2);
  EXPECT_FALSE(efa.usable());
  EXPECT_TRUE(efa.variables.empty());
  EXPECT_EQ(efa.obstacle().find("this host has 2 EFA devices, and this process may open none"), 0) << efa.obstacle();
}

TEST(Efa, DevicesWithoutThePluginAreALoudWarning) {
  const TemporaryDirectory root;
  add_device(root.path(), "uverbs0", "0x1d0f", "0xefa1");
  for (const Environment& environment :
       {Environment{{"LD_LIBRARY_PATH", root / "nowhere"}}, Environment{{"NCCL_NET_PLUGIN", "none"}}}) {
    const Efa efa = find_efa(environment, root.path());
    EXPECT_EQ(efa.devices, 1);
    EXPECT_EQ(efa.present, 1);
    EXPECT_TRUE(efa.variables.empty());
    EXPECT_EQ(efa.description().find("WARNING: 1 EFA device and no plugin"), 0) << efa.description();
    EXPECT_EQ(efa.description(), "WARNING: " + efa.obstacle());
  }
}

TEST(Efa, DevicesWithThePluginAreUsed) {
  const TemporaryDirectory root;
  for (const char* name : {"uverbs0", "uverbs1", "uverbs2", "uverbs3"})
    add_device(root.path(), name, "0x1d0f", "0xefa1");
  write(root / "lib/libnccl-net.so");
  const fs::path plugin = root / "lib/libnccl-net.so";
  const Efa efa = find_efa({{"LD_LIBRARY_PATH", "/nowhere::" + (root / "lib").string()}}, root.path());
  EXPECT_EQ(efa.description(), "4 EFA devices, libfabric's provider efa with RDMA, plugin " + plugin.string());
  EXPECT_EQ(efa.variables, (std::map<std::string, std::string>{{"FI_PROVIDER", "efa"},
                                                               {"FI_EFA_FORK_SAFE", "1"},
                                                               {"FI_EFA_USE_DEVICE_RDMA", "1"},
                                                               {"NCCL_NET_PLUGIN", plugin.string()}}));
  const Efa own = find_efa({{"LD_LIBRARY_PATH", root / "lib"}, {"FI_PROVIDER", "tcp"}}, root.path());
  EXPECT_FALSE(own.variables.contains("FI_PROVIDER"));  // what a user has set is meant
}

TEST(Efa, TheFirstGenerationHasNoRdma) {
  const TemporaryDirectory root;
  add_device(root.path(), "uverbs0", "0x1d0f", "0xefa0");
  write(root / "opt/amazon/ofi-nccl/lib/libnccl-net-ofi.so");
  const Efa efa = find_efa({}, root.path());
  EXPECT_EQ(efa.variables.count("FI_EFA_USE_DEVICE_RDMA"), 0);
  EXPECT_EQ(efa.plugin, root / "opt/amazon/ofi-nccl/lib/libnccl-net-ofi.so");
}

// AWS has renamed it, and images ask NCCL for either name.
TEST(Efa, ThePluginIsFoundUnderBothNamesWhateverNcclLooksFor) {
  for (const char* file : {"libnccl-net-ofi.so", "libnccl-net-aws-ofi.so"}) {
    for (const char* asked : {"", "ofi", "aws-ofi", "libnccl-net-ofi.so", "/opt/gone/libnccl-net.so"}) {
      const TemporaryDirectory root;
      add_device(root.path(), "uverbs0", "0x1d0f", "0xefa1");
      const fs::path plugin = root / "opt/amazon/ofi-nccl/lib/x86_64-linux-gnu" / file;
      write(plugin);
      write(root / "usr/local/lib/libnccl-net.so");  // another network's
      const Efa efa = find_efa({{"NCCL_NET_PLUGIN", asked}}, root.path());
      EXPECT_EQ(efa.plugin, plugin) << asked;
      EXPECT_EQ(efa.variables.at("NCCL_NET_PLUGIN"), plugin) << asked;
      const bool names_it = std::string(asked).empty() || asked == std::string(file) ||
                            "libnccl-net-" + std::string(asked) + ".so" == file;
      EXPECT_EQ(efa.asked, names_it ? "" : asked);
      EXPECT_EQ(efa.description().find("is replaced") == std::string::npos, names_it) << efa.description();
    }
  }
}

TEST(Efa, APluginThatTheUserNamesWins) {
  const TemporaryDirectory root;
  add_device(root.path(), "uverbs0", "0x1d0f", "0xefa1");
  write(root / "opt/amazon/ofi-nccl/lib/libnccl-net-ofi.so");
  write(root / "mine/libnccl-net-mine.so");
  EXPECT_EQ(find_efa({{"NCCL_NET_PLUGIN", root / "mine/libnccl-net-mine.so"}}, root.path()).plugin,
            root / "mine/libnccl-net-mine.so");
  const Efa two = find_efa({{"NCCL_NET_PLUGIN", "mine,ofi"}, {"LD_LIBRARY_PATH", root / "mine"}}, root.path());
  EXPECT_EQ(two.plugin, root / "mine/libnccl-net-mine.so");
  EXPECT_FALSE(two.variables.contains("NCCL_NET_PLUGIN"));  // the list is the user's own
}

}  // namespace
}  // namespace lockstep
