#include "engine/data/protobuf/Messages.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <type_traits>

#include "common/Error.h"
#include "engine/data/protobuf/WireReader.h"

namespace lockstep {

namespace {

/// Where numbers go.
struct Numbers {
  std::byte* out;
  std::size_t most;
  std::size_t count = 0;

  template <typename Number>
  void add(Number number) {
    if (count < most) std::memcpy(out + count * sizeof number, &number, sizeof number);
    ++count;
  }
  void add(std::string_view bytes, std::size_t width) {
    const std::size_t numbers = bytes.size() / width;
    if (const std::size_t room = most - std::min(count, most); room > 0) {
      std::memcpy(out + count * width, bytes.data(), std::min(numbers, room) * width);
    }
    count += numbers;
  }
};

[[noreturn]] void refuse(const WireReader& reader) {
  throw InputError("its message is damaged: field " + std::to_string(reader.field()) +
                   " is no list of numbers of its type");
}

}  // namespace

MapEntry read_map_entry(std::string_view message) {
  MapEntry entry;
  for (WireReader reader(message); reader.next();) {
    if (reader.field() == 1) entry.key = reader.bytes();
    if (reader.field() == 2) entry.value = reader.bytes();
  }
  return entry;
}

OneOf read_one_of(std::string_view message) {
  OneOf found;
  for (WireReader reader(message); reader.next();) {
    if (found.field != 0) throw InputError("its message holds several values where one was expected");
    found = {.field = reader.field(), .value = reader.bytes()};
  }
  return found;
}

template <typename Number>
std::size_t read_numbers(std::string_view message, std::uint32_t field, std::byte* out, std::size_t most) {
  constexpr auto kOne = std::is_integral_v<Number> ? WireReader::Type::kVarint
                        : sizeof(Number) == 4      ? WireReader::Type::kFixed32
                                                   : WireReader::Type::kFixed64;
  Numbers numbers{.out = out, .most = most};
  for (WireReader reader(message); reader.next();) {
    if (reader.field() != field) continue;
    if (reader.type() != kOne && reader.type() != WireReader::Type::kBytes) refuse(reader);
    std::string_view value = reader.value();
    if constexpr (!std::is_integral_v<Number>) {
      if (value.size() % sizeof(Number) != 0) refuse(reader);
      numbers.add(value, sizeof(Number));
    } else if (reader.type() == kOne) {
      numbers.add(static_cast<Number>(reader.varint()));
    } else {
      while (!value.empty()) numbers.add(static_cast<Number>(take_varint(value)));
    }
  }
  return numbers.count;
}

template std::size_t read_numbers<float>(std::string_view, std::uint32_t, std::byte*, std::size_t);
template std::size_t read_numbers<double>(std::string_view, std::uint32_t, std::byte*, std::size_t);
template std::size_t read_numbers<std::int32_t>(std::string_view, std::uint32_t, std::byte*, std::size_t);
template std::size_t read_numbers<std::int64_t>(std::string_view, std::uint32_t, std::byte*, std::size_t);
template std::size_t read_numbers<std::uint64_t>(std::string_view, std::uint32_t, std::byte*, std::size_t);

}  // namespace lockstep
