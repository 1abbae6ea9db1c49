#include "engine/data/records/RecordValues.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/Padding.h"
#include "engine/data/protobuf/Messages.h"
#include "engine/data/protobuf/WireReader.h"

namespace lockstep {

namespace {

constexpr std::uint32_t kValues = 1;
constexpr std::uint32_t kKeys = 2;
constexpr std::uint32_t kShape = 3;

std::size_t read_values(const RecordValue& value, std::byte* out, std::size_t most) {
  switch (value.type) {
    case ElementType::kFloat:
      return read_numbers<float>(value.list, kValues, out, most);
    case ElementType::kDouble:
      return read_numbers<double>(value.list, kValues, out, most);
    case ElementType::kInt32:
      return read_numbers<std::int32_t>(value.list, kValues, out, most);
    case ElementType::kInt64:
      return read_numbers<std::int64_t>(value.list, kValues, out, most);
    default:
      throw InternalError("no list of records has the type " + to_string(value.type));
  }
}

const std::vector<std::uint64_t>& read_list(const RecordValue& value, std::uint32_t field) {
  thread_local std::vector<std::uint64_t> numbers;
  numbers.resize(read_numbers<std::uint64_t>(value.list, field, nullptr, 0));
  read_numbers<std::uint64_t>(value.list, field, reinterpret_cast<std::byte*>(numbers.data()), numbers.size());
  return numbers;
}

std::size_t count_keys(const RecordValue& value) { return read_numbers<std::uint64_t>(value.list, kKeys, nullptr, 0); }

std::string called(const RecordValue& value) { return in_quotes(value.name); }

/// The sizes that a tensor says it has; nothing when it says none.
std::vector<std::int64_t> shape_of(const RecordValue& value) {
  std::vector<std::int64_t> sizes;
  std::uint64_t product = 1;
  for (const std::uint64_t size : read_list(value, kShape)) {
    constexpr std::uint64_t kMost = std::uint64_t{1} << 40;
    if (size > kMost || (size > 0 && product > kMost / size)) {
      throw InputError(called(value) + " says an impossible shape, with a size of " + std::to_string(size));
    }
    product *= size;
    sizes.push_back(static_cast<std::int64_t>(size));
  }
  return sizes;
}

std::vector<std::int64_t> sizes_of_tensor(const RecordValue& value, std::int64_t count) {
  const auto keys = static_cast<std::int64_t>(count_keys(value));
  std::vector<std::int64_t> sizes = shape_of(value);
  if (sizes.empty()) {
    if (keys > 0) throw InputError(called(value) + " is sparse, but says no shape");
    return {count};
  }
  const std::int64_t numbers = count_of(sizes);
  if (keys == 0 && count == numbers) return sizes;
  if (keys != count) {
    throw InputError(called(value) + " has " + std::to_string(count) + " numbers and " + std::to_string(keys) +
                     " places for them, and its shape [" + join(sizes, ", ") + "] has room for " +
                     std::to_string(numbers));
  }
  if (numbers > kMostSparseNumbers) {
    throw InputError(called(value) + " is sparse, of " + std::to_string(numbers) + " numbers; at most " +
                     std::to_string(kMostSparseNumbers) + " are possible");
  }
  return sizes;
}

// All others are zero.
void write_sparse(const Field& field, const RecordValue& value, std::byte* out) {
  thread_local std::vector<std::byte> numbers;
  const std::size_t width = size_of(field.type);
  std::memset(out, 0, field.bytes());
  const std::vector<std::uint64_t>& keys = read_list(value, kKeys);
  numbers.resize(keys.size() * width);
  read_values(value, numbers.data(), keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (keys[i] >= static_cast<std::uint64_t>(field.numbers())) {
      throw InputError(called(value) + " has a number at place " + std::to_string(keys[i]) + " of " +
                       std::to_string(field.numbers()));
    }
    std::memcpy(out + keys[i] * width, numbers.data() + i * width, width);
  }
}

/// How many texts a value of bytes has, and the last of them.
struct Texts {
  std::size_t count = 0;
  std::string_view last{};
};

Texts texts_of(const RecordValue& value) {
  Texts texts;
  for (WireReader reader(value.list); reader.next();) {
    if (reader.field() == kValues) texts = {.count = texts.count + 1, .last = reader.bytes()};
  }
  return texts;
}

[[noreturn]] void refuse(const Field& field, const std::string& found) {
  throw InputError(in_quotes(field.name) + " is " + found + "; expected " + to_string(field.type) + " [" +
                   join(field.sizes, ", ") + "], as other records have it");
}

}  // namespace

std::string_view bytes_of(const RecordValue& value) {
  const auto [texts, last] = texts_of(value);
  return texts == 1 ? last : std::string_view();
}

std::string text_of(const RecordValue& value) {
  if (is_real(value.type)) throw InputError(called(value) + " holds real numbers, and is to be read as texts");
  std::int64_t integer = 0;
  const bool bytes = value.type == ElementType::kUint8;
  const auto [texts, last] = bytes ? texts_of(value) : Texts();
  const std::size_t count =
      bytes ? texts : read_numbers<std::int64_t>(value.list, kValues, reinterpret_cast<std::byte*>(&integer), 1);
  if (count != 1) {
    throw InputError(called(value) + " holds " + std::to_string(count) + " values; expected one, to be read as a text");
  }
  if (value.type == ElementType::kInt32) integer = static_cast<std::int32_t>(integer);
  return bytes ? std::string(last) : std::to_string(integer);
}

std::vector<std::int64_t> sizes_of(const RecordValue& value) {
  std::vector<std::int64_t> sizes;
  if (value.type == ElementType::kUint8) {
    sizes = {static_cast<std::int64_t>(bytes_of(value).size())};
  } else {
    const auto count = static_cast<std::int64_t>(read_values(value, nullptr, 0));
    sizes = value.tensor ? sizes_of_tensor(value, count) : std::vector{count};
  }
  if (sizes == std::vector<std::int64_t>{1}) sizes.clear();
  return sizes;
}

void write_list(const Field& field, const RecordValue& value, std::byte* out, std::byte* mask) {
  if (value.type != field.type) refuse(field, to_string(value.type));
  if (value.tensor && count_keys(value) > 0) throw InputError(called(value) + " is sparse, and no list to be padded");
  thread_local std::vector<std::byte> numbers;
  const std::size_t count = read_values(value, nullptr, 0);
  numbers.resize(count * size_of(field.type));
  read_values(value, numbers.data(), count);
  write_padded(field, numbers.data(), static_cast<std::int64_t>(count), out, mask);
}

void write_value(const Field& field, const RecordValue& value, std::byte* out) {
  const auto expected = static_cast<std::size_t>(field.numbers());
  if (value.type != field.type) refuse(field, to_string(value.type));
  if (value.type == ElementType::kUint8) {
    const std::string_view bytes = bytes_of(value);
    if (bytes.size() != expected) refuse(field, "uint8 [" + std::to_string(bytes.size()) + "]");
    std::memcpy(out, bytes.data(), bytes.size());
  } else if (value.tensor) {
    const std::vector<std::int64_t> sizes = sizes_of(value);
    if (sizes != field.sizes) refuse(field, to_string(value.type) + " [" + join(sizes, ", ") + "]");
    // A sparse tensor may have no number at all.
    if (count_keys(value) == 0 && read_values(value, out, expected) == expected) return;
    write_sparse(field, value, out);
  } else if (const std::size_t count = read_values(value, out, expected); count != expected) {
    refuse(field, to_string(value.type) + " [" + std::to_string(count) + "]");
  }
}

}  // namespace lockstep
