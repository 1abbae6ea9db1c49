#include "common/RankStatus.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "common/Error.h"

namespace lockstep {

namespace {

constexpr off_t kProgressAt = 64;  // behind the status

}  // namespace

RankStatusFile::RankStatusFile() : memory_(::memfd_create("lockstep-status", MFD_CLOEXEC)) {
  if (!memory_) throw SystemError(with_errno("cannot make a memory file"));
}

std::string RankStatusFile::path() const {
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(memory_.get());
}

RankStatus RankStatusFile::read() const {
  char status = 0;
  return ::pread(memory_.get(), &status, 1, 0) == 1 ? static_cast<RankStatus>(status) : RankStatus::kStarting;
}

std::string RankStatusFile::progress() const {
  std::array<char, kMostProgress + 1> bytes{};
  const ssize_t count = ::pread(memory_.get(), bytes.data(), bytes.size(), kProgressAt);
  const std::string_view text(bytes.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  return std::string(text.substr(0, std::min(text.find('\n'), text.size())));
}

void RankStatusFile::reset() const { report_status(path(), RankStatus::kStarting); }

void report_status(const std::filesystem::path& file, RankStatus status) noexcept {
  const FileDescriptor descriptor(file.empty() ? -1 : ::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  const char byte = static_cast<char>(status);
  [[maybe_unused]] const ssize_t written = descriptor ? ::pwrite(descriptor.get(), &byte, 1, 0) : 0;
}

void report_progress(const std::filesystem::path& file, const std::string& text) noexcept {
  if (text.size() > kMostProgress) return;
  const FileDescriptor descriptor(file.empty() ? -1 : ::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (!descriptor) return;
  std::array<char, kMostProgress + 1> line{};
  *std::ranges::copy(text, line.begin()).out = '\n';
  [[maybe_unused]] const ssize_t written = ::pwrite(descriptor.get(), line.data(), text.size() + 1, kProgressAt);
}

}  // namespace lockstep
