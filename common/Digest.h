// A 64-bit digest that tells contents apart by accident, not by intent: for ranks to compare what they loaded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace lockstep {

/// FNV-1a over 8-byte words (Fowler, Noll, Vo; words instead of bytes for speed, each mixed by a shift so that high
/// bits reach low ones). Every `update` also counts its length, so that ("ab", "c") and ("a", "bc") differ.
class Digest {
 public:
  Digest() = default;
  explicit Digest(std::uint64_t state) : state_(state) {}  ///< goes on from there

  std::uint64_t state() const { return state_; }
  void update(std::span<const std::byte> bytes);
  void update(std::string_view text) { update(std::as_bytes(std::span(text.data(), text.size()))); }
  /// 16 hexadecimal digits.
  std::string hex() const;

 private:
  std::uint64_t state_ = 0xcbf29ce484222325;
};

}  // namespace lockstep
