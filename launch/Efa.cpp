#include "launch/Efa.h"

#include <fstream>

namespace lockstep {

namespace fs = std::filesystem;

namespace {

// "" when there is no such file.
std::string first_word(const fs::path& path) {
  std::string word;
  std::ifstream(path) >> word;
  return word;
}

fs::path find_plugin(std::vector<fs::path> directories, const fs::path& root) {
  for (const char* place : {"opt/amazon/ofi-nccl/lib", "opt/amazon/ofi-nccl/lib64",
                            "opt/amazon/ofi-nccl/lib/x86_64-linux-gnu", "opt/aws-ofi-nccl/lib"}) {
    directories.push_back(root / place);
  }
  for (const fs::path& directory : directories) {
    for (const char* name : {"libnccl-net-ofi.so", "libnccl-net.so"}) {
      std::error_code ignored;
      if (fs::exists(directory / name, ignored)) return directory / name;
    }
  }
  return {};
}

}  // namespace

std::map<std::string, std::string> Efa::variables() const {
  if (devices == 0 || plugin.empty()) return {};
  std::map<std::string, std::string> all = {
      {"FI_PROVIDER", "efa"}, {"FI_EFA_FORK_SAFE", "1"}, {"NCCL_NET_PLUGIN", plugin.string()}};
  if (rdma) all["FI_EFA_USE_DEVICE_RDMA"] = "1";
  return all;
}

std::string Efa::description() const {
  if (devices == 0) return "";
  const std::string found = std::to_string(devices) + (devices == 1 ? " EFA device" : " EFA devices");
  if (plugin.empty()) {
    return "WARNING: " + found +
           " and no plugin by which NCCL can use them (aws-ofi-nccl, libnccl-net.so): gradients travel over TCP, which "
           "is many times slower. Install AWS's EFA software in the image (docker build --build-arg EFA=on)";
  }
  return found + ", libfabric's provider efa" + (rdma ? " with RDMA" : "") + ", plugin " + plugin.string();
}

Efa find_efa(const std::vector<fs::path>& library_directories, const fs::path& root) {
  Efa efa;
  std::error_code error;
  for (fs::directory_iterator entry(root / "dev/infiniband", error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with("uverbs")) continue;
    const fs::path device = root / "sys/class/infiniband_verbs" / name / "device";
    const std::string kind = first_word(device / "device");
    if (first_word(device / "vendor") != "0x1d0f" || !kind.starts_with("0xefa")) continue;
    ++efa.devices;
    efa.rdma = kind != "0xefa0";
  }
  if (efa.devices > 0) efa.plugin = find_plugin(library_directories, root);
  return efa;
}

}  // namespace lockstep
