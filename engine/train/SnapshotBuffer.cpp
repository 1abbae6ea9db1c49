#include "engine/train/SnapshotBuffer.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

namespace lockstep {

namespace {

constexpr std::size_t kPlaceAlignment = 64;  // bytes

// One after the last element.
std::int64_t end_of(const at::Tensor& tensor) {
  std::int64_t last = tensor.storage_offset();
  for (std::int64_t i = 0; i < tensor.dim(); ++i) last += (tensor.size(i) - 1) * tensor.stride(i);
  return last + 1;
}

// Both of the host, dense, and alike. memcpy of much does not bring into the cache what it overwrites; copy_ does.
void copy_bytes(const at::Tensor& from, const at::Tensor& to) {
  constexpr std::int64_t kLeastBytes = 1 << 20;  // for a thread
  const auto* source = static_cast<const std::byte*>(from.const_data_ptr());
  auto* place = static_cast<std::byte*>(to.mutable_data_ptr());
  at::parallel_for(0, static_cast<std::int64_t>(from.nbytes()), kLeastBytes, [&](std::int64_t begin, std::int64_t end) {
    std::memcpy(place + begin, source + begin, static_cast<std::size_t>(end - begin));
  });
}

// Its pages are there when this returns.
std::shared_ptr<std::byte> pageable(std::size_t bytes) {
  void* memory = std::aligned_alloc(kPlaceAlignment, bytes);
  if (memory == nullptr) throw std::bad_alloc();
  std::memset(memory, 0, bytes);
  return {static_cast<std::byte*>(memory), [](std::byte* held) { std::free(held); }};
}

}  // namespace

SnapshotBuffer::SnapshotBuffer(const Device& device) : device_(device) {
  if (!device_.place().is_cpu()) copied_.emplace(device_.place().type());
}

SnapshotBuffer::Ranges SnapshotBuffer::ranges_of(const Checkpoint& checkpoint, std::size_t& bytes) const {
  Ranges ranges;
  const auto add = [&](const NamedTensors& tensors) {
    for (const auto& [name, tensor] : tensors) {
      if (!copies(tensor) || tensor.numel() == 0) continue;
      const auto [found, added] =
          ranges.try_emplace({tensor.storage().data(), tensor.scalar_type()},
                             Range{.tensor = tensor, .begin = tensor.storage_offset(), .end = end_of(tensor)});
      found->second.begin = std::min(found->second.begin, tensor.storage_offset());
      found->second.end = std::max(found->second.end, end_of(tensor));
    }
  };
  add(checkpoint.model);
  if (!checkpoint.optimizer_is_apart) add(checkpoint.optimizer);
  if (!device_.place().is_cpu()) add(checkpoint.best);
  bytes = 0;
  for (auto& [key, range] : ranges) {
    range.place = bytes;
    const std::size_t length = static_cast<std::size_t>(range.end - range.begin) * range.tensor.element_size();
    bytes += (length + kPlaceAlignment - 1) / kPlaceAlignment * kPlaceAlignment;
  }
  return ranges;
}

void SnapshotBuffer::reserve(const Checkpoint& like) {
  std::size_t bytes = 0;
  ranges_of(like, bytes);
  if (bytes <= size_) return;
  memory_.reset();
  memory_ = device_.pinned_memory(bytes);
  if (!memory_) memory_ = pageable(bytes);
  size_ = bytes;
}

// Where the tensor of that range lies in the buffer.
at::Tensor SnapshotBuffer::here(const Range& range, const at::Tensor& like) const {
  std::byte* const at =
      memory_.get() + range.place +
      static_cast<std::size_t>(like.storage_offset() - range.begin) * static_cast<std::size_t>(like.element_size());
  return at::from_blob(at, like.sizes(), like.strides(), at::TensorOptions(like.scalar_type()));
}

Snapshot SnapshotBuffer::copy(const Snapshot& live) {
  const c10::NoGradGuard no_grad;
  reserve(live.contents());
  std::size_t bytes = 0;
  const Ranges ranges = ranges_of(live.contents(), bytes);
  const auto copy_all = [&] {
    for (const auto& [key, range] : ranges) {
      const at::Tensor whole = range.tensor.detach().as_strided({range.end - range.begin}, {1}, range.begin);
      if (device_.place().is_cpu()) {
        copy_bytes(whole, here(range, whole));
      } else {
        here(range, whole).copy_(whole, /*non_blocking=*/true);
      }
    }
  };
  if (const std::optional<c10::Stream> stream = device_.snapshot_stream(); stream && copied_) {
    const c10::Device place = device_.place();
    c10::Event reached(place.type());
    reached.record(c10::impl::VirtualGuardImpl(place.type()).getStream(place));
    reached.block(*stream);
    const c10::StreamGuard guard(*stream);
    copy_all();
    copied_->record(*stream);
  } else {
    copy_all();
  }
  Checkpoint copy = live.contents();
  for (NamedTensors* tensors : {&copy.model, &copy.optimizer, &copy.best}) {
    for (auto& [name, tensor] : *tensors) {
      const auto found = ranges.find({tensor.storage().data(), tensor.scalar_type()});
      if (found != ranges.end() && tensor.numel() > 0) tensor = here(found->second, tensor);
    }
  }
  return Snapshot(std::move(copy));
}

}  // namespace lockstep
