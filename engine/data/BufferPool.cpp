#include "engine/data/BufferPool.h"

#include <algorithm>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace lockstep {

namespace {

constexpr std::align_val_t kAlignment{64};

std::shared_ptr<std::byte> allocate_aligned(std::size_t bytes) {
  return {static_cast<std::byte*>(::operator new(bytes, kAlignment)),
          [](std::byte* memory) { ::operator delete(memory, kAlignment); }};
}

}  // namespace

struct BufferPool::Returned {
  struct Buffer {
    std::shared_ptr<std::byte> memory;
    std::size_t size = 0;
  };
  std::mutex mutex;
  std::vector<Buffer> buffers;
};

BufferPool::BufferPool(Allocate allocate)
    : allocate_(allocate ? std::move(allocate) : allocate_aligned), returned_(std::make_shared<Returned>()) {}

std::shared_ptr<std::byte> BufferPool::take(std::size_t bytes) {
  using Buffer = Returned::Buffer;
  Buffer buffer;
  {
    const std::lock_guard lock(returned_->mutex);
    std::vector<Buffer>& buffers = returned_->buffers;
    // The smallest that will do, else the largest, to be replaced.
    const auto found = std::ranges::min_element(buffers, {}, [bytes](const Buffer& candidate) {
      return candidate.size >= bytes ? std::pair(0, candidate.size) : std::pair(1, -candidate.size);
    });
    if (found != buffers.end()) {
      buffer = std::move(*found);
      buffers.erase(found);
    }
  }
  if (buffer.size < bytes || buffer.memory == nullptr) {
    buffer.memory.reset();
    buffer = {allocate_(bytes), bytes};
  }
  std::byte* memory = buffer.memory.get();
  return {memory, [returned = returned_, owned = std::move(buffer)](std::byte*) mutable {
            const std::lock_guard lock(returned->mutex);
            returned->buffers.push_back(std::move(owned));
          }};
}

}  // namespace lockstep
