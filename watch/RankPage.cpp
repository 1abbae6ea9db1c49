#include "watch/RankPage.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <utility>

#include "common/Error.h"

namespace lockstep {

namespace {

FileDescriptor make_memory(std::size_t bytes) {
  FileDescriptor memory(::memfd_create("lockstep-ranks", MFD_CLOEXEC));
  if (!memory || ::ftruncate(memory.get(), static_cast<off_t>(bytes)) != 0) {
    throw SystemError(with_errno("cannot make a memory file"));
  }
  return memory;
}

}  // namespace

std::int64_t monotonic_now() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

RankPages::RankPages(FileDescriptor memory, std::size_t count) : memory_(std::move(memory)), count_(count) {
  void* const place = ::mmap(nullptr, count_ * sizeof(RankPage), PROT_READ | PROT_WRITE, MAP_SHARED, memory_.get(), 0);
  if (place == MAP_FAILED) throw SystemError(with_errno("cannot map a memory file"));
  pages_ = static_cast<RankPage*>(place);
}

RankPages::RankPages(std::size_t count) : RankPages(make_memory(count * sizeof(RankPage)), count) {}

std::optional<RankPages> RankPages::open(const std::filesystem::path& path) {
  FileDescriptor memory(path.empty() ? -1 : ::open(path.c_str(), O_RDWR | O_CLOEXEC));
  struct stat found {};
  if (!memory || ::fstat(memory.get(), &found) != 0) return std::nullopt;
  const std::size_t count = static_cast<std::size_t>(found.st_size) / sizeof(RankPage);
  if (count == 0 || count * sizeof(RankPage) != static_cast<std::size_t>(found.st_size)) return std::nullopt;
  return RankPages(std::move(memory), count);
}

RankPages::RankPages(RankPages&& other) noexcept
    : memory_(std::move(other.memory_)), count_(other.count_), pages_(std::exchange(other.pages_, nullptr)) {}

RankPages::~RankPages() {
  if (pages_ != nullptr) ::munmap(pages_, count_ * sizeof(RankPage));
}

void RankPages::clear() const { std::memset(static_cast<void*>(pages_), 0, count_ * sizeof(RankPage)); }

std::string RankPages::path() const {
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(memory_.get());
}

}  // namespace lockstep
