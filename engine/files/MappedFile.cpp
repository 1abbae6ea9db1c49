#include "engine/files/MappedFile.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fstream>

namespace lockstep {

namespace {

std::atomic<bool> allowed{false};
struct sigaction before {};  // what SIGBUS did

// Where this thread goes on when what it copies cannot be read; null when it copies nothing.
thread_local sigjmp_buf* copying = nullptr;

void on_unreadable_page(int /*signal*/) {
  if (copying != nullptr) ::siglongjmp(*copying, 1);
  ::sigaction(SIGBUS, &before, nullptr);  // the instruction is tried again
}

}  // namespace

void allow_mapped_files() {
  if (allowed.exchange(true)) return;
  struct sigaction action {};
  action.sa_handler = on_unreadable_page;
  action.sa_flags = SA_NODEFER;  // it is left by a jump
  ::sigaction(SIGBUS, &action, &before);
}

ReadAround read_around_of(std::uint64_t bytes) {
  auto memory = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE);
  std::ifstream limit("/sys/fs/cgroup/memory.max");  // of a container
  if (std::uint64_t most = 0; limit >> most) memory = std::min(memory, most);
  return bytes <= memory / 2 ? ReadAround::kYes : ReadAround::kNo;
}

std::shared_ptr<const MappedFile> MappedFile::of(const PlainFile& file, ReadAround around) {
  if (!allowed || file.size() == 0) return nullptr;
  void* const bytes = ::mmap(nullptr, file.size(), PROT_READ, MAP_SHARED, file.descriptor(), 0);
  if (bytes == MAP_FAILED) return nullptr;
  if (around == ReadAround::kNo) ::madvise(bytes, file.size(), MADV_RANDOM);
  return std::shared_ptr<const MappedFile>(new MappedFile(static_cast<const std::byte*>(bytes), file.size()));
}

MappedFile::~MappedFile() { ::munmap(const_cast<std::byte*>(bytes_), size_); }

bool MappedFile::copy(std::uint64_t offset, std::span<std::byte> bytes) const {
  if (offset > size_ || bytes.size() > size_ - offset) return false;
  sigjmp_buf failed;
  if (::sigsetjmp(failed, 0) != 0) {
    copying = nullptr;
    return false;
  }
  copying = &failed;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  std::memcpy(bytes.data(), bytes_ + offset, bytes.size());
  std::atomic_signal_fence(std::memory_order_seq_cst);
  copying = nullptr;
  return true;
}

}  // namespace lockstep
