#include "common/FreeSpace.h"

#include <cerrno>

#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

std::string mib(std::uintmax_t bytes) { return format("%.1f MiB", static_cast<double>(bytes) / (1024 * 1024)); }

}  // namespace

std::optional<std::uintmax_t> free_bytes(const fs::path& path) {
  std::error_code error;
  fs::path there = fs::absolute(path, error);
  while (!fs::exists(there, error) && there.has_relative_path()) there = there.parent_path();
  const fs::space_info space = fs::space(there, error);
  return error || space.capacity == 0 ? std::nullopt : std::optional(space.available);
}

void require_room(const fs::path& path, std::uintmax_t bytes) {
  const auto free = free_bytes(path);
  if (!free || *free >= bytes) return;
  throw SystemError("cannot write " + path.string() + ": No space left on device: " + mib(bytes) + " are needed, and " +
                    mib(*free) + " are free there");
}

std::string disk_error(const std::string& what, const fs::path& path, const std::error_code& error) {
  std::string text = what + ": " + error.message();
  if (error.value() == ENOSPC || error.value() == EDQUOT) {
    if (const auto free = free_bytes(path)) text += " (" + mib(*free) + " are free there)";
  }
  return text;
}

std::string disk_error(const std::string& what, const fs::path& path) {
  return disk_error(what, path, std::error_code(errno, std::generic_category()));
}

}  // namespace lockstep
