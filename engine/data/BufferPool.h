// Memory that is used again rather than given back: fresh pages cost more than filling them.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace lockstep {

/// Lends buffers. A buffer returns to the pool when its last owner lets go of it, in any
/// thread, and may outlive the pool. The pool holds as many buffers as were ever lent at once. Thread-safe.
class BufferPool {
 public:
  /// Memory that frees itself.
  using Allocate = std::function<std::shared_ptr<std::byte>(std::size_t bytes)>;

  /// Without `allocate`: the host's, 64-byte aligned.
  explicit BufferPool(Allocate allocate = {});
  /// At least `bytes` bytes, of any content.
  std::shared_ptr<std::byte> take(std::size_t bytes);

 private:
  struct Returned;
  Allocate allocate_;
  std::shared_ptr<Returned> returned_;
};

}  // namespace lockstep
