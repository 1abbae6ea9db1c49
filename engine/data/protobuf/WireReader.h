// The fields of a protobuf message, one after another, without copying them.
//
// Source: protobuf.dev, "Encoding". A message is a row of fields: a varint of number << 3 | wire type, then the value:
// a varint (0), 8 bytes (1), a varint of a length and as many bytes (2), or 4 bytes (5). Wire types 3 and 4 are groups,
// which no schema of today has. Protobuf's own classes would allocate for every field of every record.
#pragma once

#include <cstdint>
#include <string_view>

namespace lockstep {

/// Reads a varint at the front of `bytes` and takes it off there. Throws InputError when it does not end within them or
/// has more than 64 bits.
std::uint64_t take_varint(std::string_view& bytes);

/// Call `next`, and while it is true look at the field. All errors are InputErrors that say what is wrong with the
/// message, but not where it lies.
class WireReader {
 public:
  enum class Type : std::uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

  /// Keeps a reference to the bytes.
  explicit WireReader(std::string_view message) : rest_(message) {}

  /// Throws for a field that reaches beyond the message, has the number 0, or is of another type.
  bool next();
  std::uint32_t field() const { return field_; }
  Type type() const { return type_; }
  std::uint64_t varint() const { return varint_; }   ///< of a field of that type
  std::string_view value() const { return value_; }  ///< of a field of another type: the bytes it is made of
  /// Of a text, bytes or a message. Throws for a field of another type.
  std::string_view bytes() const;

 private:
  std::string_view rest_;
  std::uint32_t field_ = 0;
  Type type_ = Type::kVarint;
  std::uint64_t varint_ = 0;
  std::string_view value_{};
};

}  // namespace lockstep
