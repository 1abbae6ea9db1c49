// Where encoded images lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "common/Digest.h"

namespace lockstep {

/// Encoded images with a label each, of any format that holds some. Thread-safe.
class ImageSource {
 public:
  virtual ~ImageSource() = default;

  virtual std::int64_t size() const = 0;
  virtual std::int64_t label(std::int64_t sample) const = 0;
  /// For messages: a path, or a path and what is within it.
  virtual std::string place(std::int64_t sample) const = 0;
  /// An image as it is stored. Throws InputError when it cannot be read, or has more than kMostImageBytes.
  virtual void read(std::int64_t sample, std::vector<std::byte>& bytes) const = 0;
  /// Adds what tells these images from others, without reading all of them.
  virtual void update(Digest& digest) const = 0;
};

inline constexpr std::uint64_t kMostImageBytes = std::uint64_t{1} << 30;

}  // namespace lockstep
