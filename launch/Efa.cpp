#include "launch/Efa.h"

#include <algorithm>
#include <fstream>
#include <vector>

#include "common/Text.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

// "" when there is no such file.
std::string first_word(const fs::path& path) {
  std::string word;
  std::ifstream(path) >> word;
  return word;
}

// The PCI device's number when it is an EFA, or "".
std::string efa_kind(const fs::path& device) {
  const std::string kind = first_word(device / "device");
  return first_word(device / "vendor") == "0x1d0f" && kind.starts_with("0xefa") ? kind : "";
}

std::vector<fs::path> entries(const fs::path& directory) {
  std::vector<fs::path> all;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
    all.push_back(entry->path());
  }
  return all;
}

std::string value_or_empty(const Environment& environment, const char* name) {
  const auto found = environment.find(name);
  return found == environment.end() ? "" : found->second;
}

std::vector<fs::path> library_directories(const Environment& environment, const fs::path& root) {
  std::vector<fs::path> directories;
  for (const std::string& directory : split(value_or_empty(environment, "LD_LIBRARY_PATH"), ':')) {
    if (!directory.empty()) directories.emplace_back(directory);
  }
  for (const char* place :
       {"usr/lib/x86_64-linux-gnu", "usr/local/lib", "opt/amazon/ofi-nccl/lib", "opt/amazon/ofi-nccl/lib64",
        "opt/amazon/ofi-nccl/lib/x86_64-linux-gnu", "opt/amazon/aws-ofi-nccl/lib", "opt/aws-ofi-nccl/lib"}) {
    directories.push_back(root / place);
  }
  return directories;
}

// As NCCL takes NCCL_NET_PLUGIN: a path, a file's name, or what stands between libnccl-net- and .so.
std::vector<std::string> file_names(const std::string& asked) { return {asked, "libnccl-net-" + asked + ".so"}; }

fs::path find_file(const std::vector<std::string>& names, const std::vector<fs::path>& directories) {
  for (const std::string& name : names) {
    for (const fs::path& directory : directories) {
      std::error_code ignored;
      if (!name.empty() && fs::is_regular_file(directory / name, ignored)) return directory / name;
    }
  }
  return {};
}

std::string counted(int devices) { return std::to_string(devices) + (devices == 1 ? " EFA device" : " EFA devices"); }

void find_plugin(Efa& efa, const Environment& environment, const fs::path& root) {
  const std::string asked = value_or_empty(environment, "NCCL_NET_PLUGIN");
  if (asked == "none") return;
  const std::vector<fs::path> directories = library_directories(environment, root);
  if (!asked.empty()) efa.plugin = find_file(file_names(asked.substr(0, asked.find(','))), directories);
  if (efa.plugin.empty()) {
    efa.asked = asked;
    // The last is also the name of other networks' plugins.
    efa.plugin = find_file({"libnccl-net-ofi.so", "libnccl-net-aws-ofi.so", "libnccl-net.so"}, directories);
  }
}

}  // namespace

std::string Efa::obstacle() const {
  constexpr const char* kSlow = ": gradients travel over TCP, which is many times slower. ";
  if (usable() || present == 0) return "";
  if (devices == 0) {
    return "this host has " + counted(present) + ", and this process may open none" + kSlow +
           "Give the container /dev/infiniband (docker run --device=/dev/infiniband/uverbs0 …; in Kubernetes "
           "vpc.amazonaws.com/efa)";
  }
  return counted(devices) + " and no plugin by which NCCL can use them (aws-ofi-nccl: libnccl-net-ofi.so or " +
         "libnccl-net-aws-ofi.so)" + kSlow +
         "Install AWS's EFA software in the image (docker build --build-arg EFA=on)";
}

std::string Efa::description() const {
  if (present == 0) return "";
  if (!usable()) return "WARNING: " + obstacle();
  return counted(devices) + ", libfabric's provider efa" + (rdma ? " with RDMA" : "") + ", plugin " + plugin.string() +
         (asked.empty() ? "" : "; NCCL_NET_PLUGIN=" + asked + " names nothing that is here, and is replaced");
}

Efa find_efa(const Environment& environment, const fs::path& root) {
  Efa efa;
  for (const fs::path& device : entries(root / "sys/bus/pci/devices")) efa.present += efa_kind(device).empty() ? 0 : 1;
  for (const fs::path& file : entries(root / "dev/infiniband")) {
    const std::string name = file.filename().string();
    if (!name.starts_with("uverbs")) continue;
    const std::string kind = efa_kind(root / "sys/class/infiniband_verbs" / name / "device");
    if (kind.empty()) continue;
    ++efa.devices;
    efa.rdma = kind != "0xefa0";
  }
  efa.present = std::max(efa.present, efa.devices);
  if (efa.devices == 0) return efa;
  find_plugin(efa, environment, root);
  if (!efa.usable()) return efa;
  efa.variables = {{"FI_PROVIDER", "efa"}, {"FI_EFA_FORK_SAFE", "1"}};
  if (efa.rdma) efa.variables["FI_EFA_USE_DEVICE_RDMA"] = "1";
  std::erase_if(efa.variables,
                [&](const auto& entry) { return !value_or_empty(environment, entry.first.c_str()).empty(); });
  // The whole path: NCCL's loader need not look where the plugin is. A list of several is the user's own.
  if (value_or_empty(environment, "NCCL_NET_PLUGIN").find(',') == std::string::npos || !efa.asked.empty()) {
    efa.variables["NCCL_NET_PLUGIN"] = efa.plugin.string();
  }
  return efa;
}

}  // namespace lockstep
