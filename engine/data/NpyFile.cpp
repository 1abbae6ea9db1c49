#include "engine/data/NpyFile.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kMostHeader = 64 << 10;
constexpr std::size_t kMostNpyDimensions = 32;

struct TypeRow {
  std::string_view code;  ///< without the byte order
  ElementType type;
};
constexpr TypeRow kTypes[] = {{"b1", ElementType::kBool},   {"i1", ElementType::kInt8},   {"i2", ElementType::kInt16},
                              {"i4", ElementType::kInt32},  {"i8", ElementType::kInt64},  {"u1", ElementType::kUint8},
                              {"u2", ElementType::kUint16}, {"u4", ElementType::kUint32}, {"u8", ElementType::kUint64},
                              {"f2", ElementType::kHalf},   {"f4", ElementType::kFloat},  {"f8", ElementType::kDouble}};

/// The header's dictionary: of Python's syntax as much as NumPy writes.
class Parser {
 public:
  Parser(std::string_view text, const std::string& origin) : rest_(text), origin_(origin) {}

  NpyHeader header() {
    expect('{');
    std::optional<bool> column_major;
    bool has_type = false;
    bool has_sizes = false;
    while (!take('}')) {
      const std::string key = text();
      expect(':');
      if (key == "descr" && !has_type) {
        has_type = true;
        set_type(peek() == '\'' || peek() == '"' ? text() : refuse<std::string>("its elements are records"));
      } else if (key == "fortran_order" && !column_major) {
        column_major = word("True") ? true : word("False") ? false : refuse<bool>("fortran_order is no truth value");
      } else if (key == "shape" && !has_sizes) {
        has_sizes = true;
        set_sizes();
      } else {
        refuse<void>("its header names " + in_quotes(key) + ", once too often or for no reason");
      }
      if (!take(',') && peek() != '}') refuse<void>("its header is not what NumPy writes");
    }
    if (!rest_.empty() && peek() != '\0') refuse<void>("its header goes on after its end");
    if (!has_type || !has_sizes || !column_major) refuse<void>("its header lacks descr, fortran_order or shape");
    // With one dimension longer than 1 both orders are the same.
    if (*column_major && std::ranges::count_if(header_.sizes, [](std::int64_t size) { return size > 1; }) > 1) {
      refuse<void>("it is in column-major order (fortran_order); save numpy.ascontiguousarray of it");
    }
    return header_;
  }

 private:
  template <typename Result>
  [[noreturn]] Result refuse(const std::string& why) const {
    throw InputError(origin_ + " is not an .npy file that Lockstep reads: " + why);
  }

  void skip_spaces() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\n\r"), rest_.size())); }
  char peek() {
    skip_spaces();
    return rest_.empty() ? '\0' : rest_.front();
  }
  bool take(char wanted) {
    if (peek() != wanted || rest_.empty()) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char wanted) {
    if (!take(wanted)) refuse<void>(std::string("its header is not what NumPy writes: ") + wanted + " is missing");
  }
  bool word(std::string_view wanted) {
    skip_spaces();
    if (!rest_.starts_with(wanted)) return false;
    rest_.remove_prefix(wanted.size());
    return true;
  }
  std::string text() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') refuse<void>("its header is not what NumPy writes: a text is missing");
    const std::size_t end = rest_.find(quote, 1);
    if (end == std::string_view::npos) refuse<void>("its header is not what NumPy writes: a text does not end");
    const std::string found(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return found;
  }
  void set_type(const std::string& descr) {
    const char order = descr.empty() ? '\0' : descr.front();
    const std::string_view code = std::string_view(descr).substr(descr.empty() ? 0 : 1);
    const auto* const row = std::ranges::find(kTypes, code, &TypeRow::code);
    if (row == std::end(kTypes) || std::string_view("<>|=").find(order) == std::string_view::npos) {
      std::vector<std::string> known;
      for (const TypeRow& type : kTypes) known.emplace_back(type.code);
      refuse<void>("its elements are of type " + in_quotes(descr) + "; convert it to one of " + join(known, ", "));
    }
    header_.type = row->type;
    header_.big_endian = order == '>';
  }
  std::int64_t size() {
    skip_spaces();
    std::size_t digits = 0;
    while (digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9') ++digits;
    if (digits == 0 || digits > 15) refuse<void>("its shape holds something that is no size");
    const std::int64_t value = std::stoll(std::string(rest_.substr(0, digits)));
    rest_.remove_prefix(digits);
    take('L');  // Python 2 wrote it
    return value;
  }
  void set_sizes() {
    expect('(');
    while (!take(')')) {
      header_.sizes.push_back(size());
      if (header_.sizes.size() > kMostNpyDimensions) refuse<void>("it has more than 32 dimensions");
      if (!take(',') && peek() != ')') refuse<void>("its header is not what NumPy writes: ) is missing");
    }
  }

  std::string_view rest_;
  const std::string& origin_;
  NpyHeader header_;
};

}  // namespace

NpyHeader read_npy_header(InputFile& file) {
  std::array<char, 8> start{};
  const std::size_t found = file.read(start.data(), start.size());
  if (!std::string_view(start.data(), found).starts_with(kMagic)) {
    throw InputError(file.name() + " does not begin with the magic number of an .npy file (93 'NUMPY')");
  }
  const auto truncated = [&] {
    return InputError(file.name() + " is truncated at byte " + std::to_string(file.offset()) +
                      ", in its header; copy or save it again");
  };
  if (found < start.size()) throw truncated();
  const int version = static_cast<unsigned char>(start[6]);
  if (version < 1 || version > 3) {
    throw InputError(file.name() + " is of version " + std::to_string(version) +
                     " of the .npy format; known are 1, 2 and 3");
  }
  std::array<std::uint8_t, 4> length_bytes{};
  const std::size_t length_size = version == 1 ? 2 : 4;
  if (file.read(length_bytes.data(), length_size) < length_size) throw truncated();
  std::size_t length = 0;
  for (std::size_t i = 0; i < length_size; ++i) length |= static_cast<std::size_t>(length_bytes[i]) << (8 * i);
  if (length > kMostHeader) {
    throw InputError(file.name() + " claims a header of " + std::to_string(length) + " bytes; at most " +
                     std::to_string(kMostHeader) + " are read");
  }
  std::string text(length, '\0');
  if (file.read(text.data(), length) < length) throw truncated();
  NpyHeader header = Parser(text, file.name()).header();
  auto bytes = static_cast<std::int64_t>(size_of(header.type));
  for (const std::int64_t size : header.sizes) {
    if (size > 0 && bytes >= kMostArrayBytes / size) {
      throw InputError(file.name() + " claims an impossible size: " + join(header.sizes, " × ") + " elements");
    }
    bytes *= std::max<std::int64_t>(size, 1);
  }
  header.bytes = std::ranges::count(header.sizes, 0) > 0 ? 0 : static_cast<std::size_t>(bytes);
  return header;
}

Array read_npy(InputFile& file, const std::string& name) {
  const NpyHeader header = read_npy_header(file);
  std::vector<std::uint8_t> bytes =
      read_rest(file, header.bytes,
                "its header says " + join(header.sizes, " × ") + " elements of " + to_string(header.type) +
                    ", which end at byte " + std::to_string(file.offset() + header.bytes));
  if (header.big_endian) swap_bytes(bytes, size_of(header.type));
  return make_array({.name = name, .type = header.type, .origin = file.name()}, header.sizes, std::move(bytes));
}

}  // namespace lockstep
