#include "engine/commands/MemoryTable.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "common/Text.h"
#include "engine/report/RunRows.h"

namespace lockstep {

namespace {

std::string mebibytes(std::int64_t bytes) {
  constexpr double kMebibyte = 1 << 20;
  return format("%12s MiB", with_commas(static_cast<long long>(static_cast<double>(bytes) / kMebibyte)).c_str());
}

// "MemAvailable:  812 kB" of a file of such lines.
std::optional<std::int64_t> kibibytes_in(const std::filesystem::path& path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::int64_t count = 0;
    if (line.starts_with(name + ":") && std::istringstream(line.substr(name.size() + 1)) >> count) return count << 10;
  }
  return std::nullopt;
}

// Of this process's control group, where that is the root of what a container sees.
std::optional<std::int64_t> limit_of_container(const std::filesystem::path& root) {
  for (const char* path : {"sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::ifstream file(root / path);
    constexpr std::int64_t kNone = std::int64_t{1} << 60;
    if (std::int64_t bytes = 0; file >> bytes && bytes < kNone) return bytes;
  }
  return std::nullopt;
}

std::string advice(const MemoryHeld& held) {
  std::string text = "to change: ";
  if (held.samples_at_once != 1) {
    text += "micro_batch_size";
    if (held.samples_at_once > 1) text += " (it is " + std::to_string(held.samples_at_once) + ")";
    text += " or ";
  }
  text += "recompute=all lessens activations, precision=bf16 some of them; an optimizer with less state";
  if (held.by_training && held.by_training->optimizer_shares == 1 && held.ranks_on_host > 1) {
    text += ", or shard_optimizer=true";
  }
  if (held.ranks_on_host > 1) text += "; fewer than " + std::to_string(held.ranks_on_host) + " ranks on this host";
  if (!held.on_gpu) text += "; fewer loader_threads";
  return text;
}

}  // namespace

std::string memory_table(const MemoryHeld& held, const std::filesystem::path& root) {
  std::string text = "\n  who holds what of this rank's memory (" + held.device + "):\n";
  const auto add = [&](const std::string& what, std::int64_t bytes) {
    text += "  " + mebibytes(bytes) + "  " + what + "\n";
  };
  const MemoryUse use = held.by_training.value_or(MemoryUse{});
  // A GPU's rank has the copy for checkpoints in the host's memory.
  std::int64_t kept = held.on_gpu ? 0 : use.checkpoint;
  if (held.by_training) {
    for (const MemoryRow& row : rows_of(use)) {
      add(row.what + row.share() + (row.later ? ", from the first evaluation on" : ""), row.bytes);
      if (!row.later) kept += row.bytes;  // "at most" is true before, too
    }
    if (use.checkpoint > 0)
      add(std::string(held.on_gpu ? "of the host, " : "") + "copy for checkpoints", use.checkpoint);
  }
  add("at most of all else: activations, data, libraries", std::max<std::int64_t>(held.most - kept, 0));
  if (const auto resident = kibibytes_in(root / "proc/self/status", "VmRSS"))
    add("of the host, this process now", *resident);
  if (const auto free = kibibytes_in(root / "proc/meminfo", "MemAvailable")) add("free on the host", *free);
  if (const auto all = kibibytes_in(root / "proc/meminfo", "MemTotal")) add("that the host has", *all);
  if (const auto limit = limit_of_container(root)) add("that this container may have", *limit);
  return text + "  " + advice(held);
}

}  // namespace lockstep
