#include "engine/data/BufferPool.h"

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

struct Buffer {
  std::shared_ptr<std::byte> memory;
  std::size_t size = 0;
};

}  // namespace

struct BufferPool::Returned {
  std::mutex mutex;
  std::vector<Buffer> buffers;
};

BufferPool::BufferPool(Allocate allocate)
    : allocate_(allocate ? std::move(allocate) : allocate_aligned), returned_(std::make_shared<Returned>()) {}

std::shared_ptr<std::byte> BufferPool::take(std::size_t bytes) {
  Buffer buffer;
  {
    const std::lock_guard lock(returned_->mutex);
    if (!returned_->buffers.empty()) {
      buffer = std::move(returned_->buffers.back());
      returned_->buffers.pop_back();
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
