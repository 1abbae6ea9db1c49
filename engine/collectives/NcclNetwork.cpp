#include "engine/collectives/NcclNetwork.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/collectives/Agreement.h"

namespace lockstep {

namespace {

constexpr std::size_t kMostLog = 4 << 20;

// The first with a broadcast that does not hang. Of the older ones 1.18 is known to.
constexpr std::pair<int, int> kFirstGoodPlugin = {1, 20};

// What follows `words` in the line, or "".
std::string after(const std::string& line, const char* words) {
  const std::size_t at = line.find(words);
  return at == std::string::npos ? "" : line.substr(at + std::string(words).size());
}

std::string until(const std::string& text, const char* ends) { return text.substr(0, text.find_first_of(ends)); }

// Of "aws-ofi-nccl 1.18.0-aws"; nothing for one that was built from another place than a release.
std::optional<std::pair<int, int>> release_of(const std::string& plugin) {
  const std::string version = plugin.substr(plugin.find(' ') + 1);
  std::pair<int, int> release;
  const char* const end = version.data() + version.size();
  const auto major = std::from_chars(version.data(), end, release.first);
  if (major.ec != std::errc() || major.ptr == end || *major.ptr != '.') return std::nullopt;
  if (std::from_chars(major.ptr + 1, end, release.second).ec != std::errc()) return std::nullopt;
  return release;
}

std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? std::optional<std::string>(value) : std::nullopt;
}

void set_variable(const char* name, const std::optional<std::string>& value) {
  value ? ::setenv(name, value->c_str(), 1) : ::unsetenv(name);
}

bool user_reads_it() {
  const std::string level = variable("NCCL_DEBUG").value_or("");
  return variable("NCCL_DEBUG_FILE").has_value() || ::strcasecmp(level.c_str(), "INFO") == 0 ||
         ::strcasecmp(level.c_str(), "TRACE") == 0 || ::strcasecmp(level.c_str(), "ABORT") == 0;
}

}  // namespace

std::string NcclNetwork::transport() const { return name + (provider.empty() ? "" : " (" + provider + ")"); }

std::string NcclNetwork::description() const { return transport() + (plugin.empty() ? "" : ", plugin " + plugin); }

std::string NcclNetwork::warning() const {
  const auto release = release_of(plugin);
  if (!release || *release >= kFirstGoodPlugin) return "";
  return "WARNING: " + plugin + " is older than " + std::to_string(kFirstGoodPlugin.first) + "." +
         std::to_string(kFirstGoodPlugin.second) +
         ", and 1.18 is known to hang in broadcasts: install a newer one (AWS's EFA installer brings it from 1.49 on)";
}

NcclNetwork read_nccl_network(const std::string& lines) {
  NcclNetwork network;
  for (const std::string& line : split(lines, '\n')) {
    if (const std::string name = after(line, "NCCL INFO Using network "); !name.empty()) {
      network.name = until(name, "\r");
    }
    for (const char* words : {"NET/OFI Selected provider is ", "NET/OFI Selected Provider is "}) {
      if (const std::string provider = after(line, words); !provider.empty())
        network.provider = until(provider, " ,(\r");
    }
    for (const char* words : {"NET/OFI Initializing ", "NET/OFI Using "}) {
      const std::string plugin = after(line, words);
      if (plugin.starts_with("aws-ofi-nccl ")) network.plugin = until(plugin, "\r");
    }
  }
  // The plugin may have found no device of its own and left the choice to NCCL.
  if (network.name.find("Libfabric") == std::string::npos) network.provider.clear();
  return network;
}

std::vector<std::string> agree_on_network(Communicator& communicator, const NcclNetwork& own, bool wants_efa) {
  require_all_ok(communicator, [&] {
    if (!wants_efa || !own.known() || own.is_efa()) return;
    throw InputError("this host has EFA, and NCCL reaches other hosts by " + own.description() +
                     ", which is many times slower: NCCL_DEBUG=INFO says why it does not use EFA's plugin; set "
                     "allow_tcp=true to train all the same");
  });
  std::vector<std::string> lines;
  std::string first;
  for (const std::string& transport : communicator.all_gather(own.transport())) {
    if (first.empty()) first = transport;
    if (transport.empty() || transport == first) continue;
    throw CollectiveError(kExitBadInput,
                          format("NCCL reaches other hosts by %s on some ranks and by %s on others: all hosts need the "
                                 "same plugin and network",
                                 first.c_str(), transport.c_str()));
  }
  const std::vector<std::string> descriptions = communicator.all_gather(own.description());
  if (!first.empty()) {
    lines.push_back("NCCL reaches other hosts by " +
                    *std::ranges::find_if(descriptions, [](const auto& text) { return !text.empty(); }));
  } else if (wants_efa) {
    lines.emplace_back(
        "WARNING: NCCL_DEBUG or NCCL_DEBUG_FILE is set, and NCCL's lines go where they say: look for \"Using network\" "
        "in them; Lockstep has not looked whether it is EFA");
  }
  for (const std::string& warning : communicator.all_gather(own.warning())) {
    if (!warning.empty() && std::ranges::count(lines, warning) == 0) lines.push_back(warning);
  }
  return lines;
}

std::function<void()> NcclLog::reset_of_loaded_nccl() {
  void* const handle = ::dlopen("libnccl.so.2", RTLD_NOW | RTLD_NOLOAD);
  void* const call = handle ? ::dlsym(handle, "ncclResetDebugInit") : nullptr;
  return call ? std::function<void()>(reinterpret_cast<void (*)()>(call)) : nullptr;
}

NcclLog::NcclLog(std::function<void()> reset) : reset_(std::move(reset)) {
  level_ = variable("NCCL_DEBUG");
  subsystems_ = variable("NCCL_DEBUG_SUBSYS");
  // Without the reset the lines that a user has asked for would stay in memory.
  if (user_reads_it() || (level_ && !reset_)) return;
  memory_ = FileDescriptor(::memfd_create("lockstep-nccl", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory_) return;
  ::setenv("NCCL_DEBUG", "INFO", 1);
  ::setenv("NCCL_DEBUG_SUBSYS", "INIT,NET", 1);
  ::setenv("NCCL_DEBUG_FILE", ("/proc/self/fd/" + std::to_string(memory_.get())).c_str(), 1);
  if (reset_) reset_();
}

NcclLog::~NcclLog() { take(); }

std::optional<std::string> NcclLog::take() {
  if (!memory_) return std::nullopt;
  set_variable("NCCL_DEBUG", level_);
  set_variable("NCCL_DEBUG_SUBSYS", subsystems_);
  ::unsetenv("NCCL_DEBUG_FILE");
  if (reset_) reset_();
  std::string lines;
  std::array<char, 4096> buffer;
  for (ssize_t count; lines.size() < kMostLog && (count = ::pread(memory_.get(), buffer.data(), buffer.size(),
                                                                  static_cast<off_t>(lines.size()))) > 0;) {
    lines.append(buffer.data(), static_cast<std::size_t>(count));
  }
  // What NCCL may still write there would fill memory.
  ::fcntl(memory_.get(), F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK);
  memory_ = FileDescriptor();
  for (const std::string& line : split(level_ ? lines : "", '\n')) {
    if (line.find("NCCL WARN") != std::string::npos) std::fprintf(stderr, "%s\n", line.c_str());
  }
  return lines;
}

}  // namespace lockstep
