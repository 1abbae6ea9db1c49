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

TEST(Efa, NothingWithoutDevices) {
  const TemporaryDirectory root;
  EXPECT_EQ(find_efa({}, root.path()).devices, 0);
  add_device(root.path(), "uverbs0", "0x15b3", "0x1021");  // another maker's
  write(root / "dev/infiniband/rdma_cm");
  write(root / "sys/class/infiniband_verbs/uverbs1/device/vendor", "0x1d0f");  // the host's, not given to the container
  write(root / "opt/amazon/ofi-nccl/lib/libnccl-net.so");
  const Efa efa = find_efa({}, root.path());
  EXPECT_EQ(efa.devices, 0);
  EXPECT_TRUE(efa.variables().empty());
  EXPECT_EQ(efa.description(), "");
}

TEST(Efa, DevicesWithoutThePluginAreALoudWarning) {
  const TemporaryDirectory root;
  add_device(root.path(), "uverbs0", "0x1d0f", "0xefa1");
  const Efa efa = find_efa({root / "nowhere"}, root.path());
  EXPECT_EQ(efa.devices, 1);
  EXPECT_TRUE(efa.variables().empty());
  EXPECT_EQ(efa.description().find("WARNING: 1 EFA device and no plugin"), 0) << efa.description();
}

TEST(Efa, DevicesWithThePluginAreUsed) {
  const TemporaryDirectory root;
  for (const char* name : {"uverbs0", "uverbs1", "uverbs2", "uverbs3"})
    add_device(root.path(), name, "0x1d0f", "0xefa1");
  write(root / "lib/libnccl-net.so");
  const fs::path plugin = root / "lib/libnccl-net.so";
  const Efa efa = find_efa({root / "lib"}, root.path());
  EXPECT_EQ(efa.description(), "4 EFA devices, libfabric's provider efa with RDMA, plugin " + plugin.string());
  EXPECT_EQ(efa.variables(), (std::map<std::string, std::string>{{"FI_PROVIDER", "efa"},
                                                                 {"FI_EFA_FORK_SAFE", "1"},
                                                                 {"FI_EFA_USE_DEVICE_RDMA", "1"},
                                                                 {"NCCL_NET_PLUGIN", plugin.string()}}));
}

TEST(Efa, TheFirstGenerationHasNoRdma) {
  const TemporaryDirectory root;
  add_device(root.path(), "uverbs0", "0x1d0f", "0xefa0");
  write(root / "opt/amazon/ofi-nccl/lib/libnccl-net-ofi.so");
  const Efa efa = find_efa({}, root.path());
  EXPECT_EQ(efa.variables().count("FI_EFA_USE_DEVICE_RDMA"), 0);
  EXPECT_EQ(efa.plugin, root / "opt/amazon/ofi-nccl/lib/libnccl-net-ofi.so");
}

}  // namespace
}  // namespace lockstep
