// Plain values in the memory of a device, for kernels to read and write.
#pragma once

#include <ATen/Functions.h>
#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

namespace lockstep {

/// A copy of device memory on its way to the host: it holds what work enqueued before it left there. On a CPU it has
/// arrived at once.
template <typename T>
class Readback {
 public:
  explicit Readback(const at::Tensor& bytes) {
    if (bytes.is_cpu()) {
      host_ = bytes.clone();
      return;
    }
    host_ = at::empty(bytes.sizes(), at::TensorOptions(at::kByte).pinned_memory(true));
    host_.copy_(bytes, /*non_blocking=*/true);
    arrived_.emplace(bytes.device().type());
    arrived_->record(c10::impl::VirtualGuardImpl(bytes.device().type()).getStream(bytes.device()));
  }

  /// Whether it is there. Throws what went wrong on the device.
  bool arrived() const { return !arrived_ || arrived_->query(); }
  /// Waits for it. Throws what went wrong on the device until then.
  std::vector<T> wait() const {
    if (arrived_) arrived_->synchronize();
    std::vector<T> values(static_cast<std::size_t>(host_.numel()) / sizeof(T));
    if (!values.empty()) std::memcpy(values.data(), host_.const_data_ptr(), values.size() * sizeof(T));
    return values;
  }

 private:
  at::Tensor host_;
  std::optional<c10::Event> arrived_;
};

/// Of a fixed length. Reads and writes are enqueued on the current stream.
template <typename T>
class DeviceArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  /// Of any content.
  DeviceArray(std::size_t length, const c10::Device& device)
      : bytes_(
            at::empty({static_cast<std::int64_t>(length * sizeof(T))}, at::TensorOptions(at::kByte).device(device))) {}
  DeviceArray(std::span<const T> values, const c10::Device& device) : DeviceArray(values.size(), device) {
    write(values);
  }

  std::size_t size() const { return static_cast<std::size_t>(bytes_.numel()) / sizeof(T); }
  T* data() { return static_cast<T*>(bytes_.mutable_data_ptr()); }
  const T* data() const { return static_cast<const T*>(bytes_.const_data_ptr()); }

  /// As many values as it has; they may go when this returns.
  void write(std::span<const T> values) {
    if (values.empty()) return;
    const at::Tensor host =
        bytes_.is_cpu() ? bytes_ : at::empty(bytes_.sizes(), at::TensorOptions(at::kByte).pinned_memory(true));
    std::memcpy(host.mutable_data_ptr(), values.data(), values.size_bytes());
    if (!bytes_.is_cpu()) bytes_.copy_(host, /*non_blocking=*/true);
  }
  /// The number at `offset` bytes of each value: as many numbers as values. They may go when this returns.
  template <typename Number>
  void write_column(std::size_t offset, std::span<const Number> numbers) {
    if (numbers.empty()) return;
    const at::ScalarType type = c10::CppTypeToScalarType<Number>::value;
    const at::Tensor host =
        at::empty({static_cast<std::int64_t>(numbers.size())}, at::TensorOptions(type).pinned_memory(!bytes_.is_cpu()));
    std::memcpy(host.mutable_data_ptr(), numbers.data(), numbers.size_bytes());
    bytes_.view({static_cast<std::int64_t>(size()), static_cast<std::int64_t>(sizeof(T))})
        .narrow(1, static_cast<std::int64_t>(offset), static_cast<std::int64_t>(sizeof(Number)))
        .view(type)
        .squeeze(1)
        .copy_(host, /*non_blocking=*/true);
  }
  Readback<T> read() const { return Readback<T>(bytes_); }

  /// The `type` numbers from `offset` bytes on, as a tensor that shares this memory.
  at::Tensor numbers(std::size_t offset, std::int64_t count, at::ScalarType type) const {
    return bytes_
        .narrow(0, static_cast<std::int64_t>(offset), count * static_cast<std::int64_t>(c10::elementSize(type)))
        .view(type);
  }
  /// One number, as a tensor of no dimensions.
  at::Tensor number(std::size_t offset, at::ScalarType type) const { return numbers(offset, 1, type).squeeze(0); }

 private:
  at::Tensor bytes_;
};

}  // namespace lockstep
