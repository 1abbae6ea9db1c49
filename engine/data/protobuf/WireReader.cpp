#include "engine/data/protobuf/WireReader.h"

#include <limits>
#include <string>

#include "common/Error.h"

namespace lockstep {

namespace {

[[noreturn]] void refuse(const std::string& cause) { throw InputError("its message is damaged: " + cause); }

}  // namespace

std::uint64_t take_varint(std::string_view& bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::uint64_t part = static_cast<std::uint8_t>(bytes[i]);
    if (i == 9 && part > 1) refuse("a number has more than 64 bits");
    value |= (part & 0x7FU) << (7 * i);
    if (part < 0x80) {
      bytes.remove_prefix(i + 1);
      return value;
    }
  }
  refuse("a number reaches beyond its end");
}

bool WireReader::next() {
  if (rest_.empty()) return false;
  const std::uint64_t tag = take_varint(rest_);
  if (tag >> 3 == 0 || tag > std::numeric_limits<std::uint32_t>::max()) {
    refuse("a field has the number " + std::to_string(tag >> 3));
  }
  field_ = static_cast<std::uint32_t>(tag >> 3);
  type_ = static_cast<Type>(tag & 7);
  std::uint64_t length = 0;
  switch (type_) {
    case Type::kVarint:
      varint_ = take_varint(rest_);
      break;
    case Type::kFixed64:
      length = 8;
      break;
    case Type::kFixed32:
      length = 4;
      break;
    case Type::kBytes:
      length = take_varint(rest_);
      break;
    default:
      refuse("field " + std::to_string(field_) + " is of wire type " + std::to_string(tag & 7));
  }
  if (length > rest_.size()) {
    refuse("field " + std::to_string(field_) + " has " + std::to_string(length) + " bytes; " +
           std::to_string(rest_.size()) + " are left");
  }
  value_ = rest_.substr(0, length);
  rest_.remove_prefix(length);
  return true;
}

std::string_view WireReader::bytes() const {
  if (type_ != Type::kBytes) {
    refuse("field " + std::to_string(field_) + " is of wire type " + std::to_string(static_cast<int>(type_)) +
           "; expected 2");
  }
  return value_;
}

}  // namespace lockstep
