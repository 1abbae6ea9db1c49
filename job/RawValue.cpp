#include "job/RawValue.h"

#include <charconv>
#include <cmath>
#include <string_view>
#include <utility>

#include "common/AsciiText.h"
#include "common/Error.h"
#include "common/Text.h"
#include "job/Json.h"

namespace lockstep {

using nlohmann::json;

namespace {

// The escape at the beginning of `text`, \x1b or \U0001f600, as JSON writes it, if there is one that JSON does not
// know.
std::optional<std::string> python_escape(std::string_view text) {
  const std::size_t digits = text.starts_with("\\x") ? 2 : text.starts_with("\\U") ? 8 : 0;
  unsigned code = 0;
  if (digits == 0 || text.size() < 2 + digits) return std::nullopt;
  const char* end = text.data() + 2 + digits;
  if (std::from_chars(text.data() + 2, end, code, 16).ptr != end) return std::nullopt;
  if (code < 0x10000) return format("\\u%04x", code);
  return format("\\u%04x\\u%04x", 0xD7C0 + (code >> 10), 0xDC00 + (code & 0x3FF));
}

// Python's repr of lists, tuples, dictionaries, texts, True, False and None as JSON. What is not such a repr comes out
// as something that does not parse, which is all the caller needs.
std::string python_to_json(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '\'' || c == '"') {
      out += '"';
      for (++i; i < text.size() && text[i] != c; ++i) {
        if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] == '\'') ++i;
        if (const auto escape = python_escape(std::string_view(text).substr(i))) {
          out += *escape;
          i += text[i + 1] == 'x' ? 3 : 9;
        } else if (text[i] == '"') {
          out += "\\\"";
        } else {
          out += text[i];
          if (text[i] == '\\' && i + 1 < text.size()) out += text[++i];
        }
      }
      out += '"';
      ++i;
    } else if (text.compare(i, 4, "True") == 0) {
      out += "true";
      i += 4;
    } else if (text.compare(i, 5, "False") == 0) {
      out += "false";
      i += 5;
    } else if (text.compare(i, 4, "None") == 0) {
      out += "null";
      i += 4;
    } else {
      if (c == ')' && out.ends_with(',')) out.pop_back();  // (64,)
      out += c == '(' ? '[' : c == ')' ? ']' : c;
      ++i;
    }
  }
  return out;
}

json parsed_or(const std::string& text, json otherwise) {
  try {
    return parse_json(text, "the value");
  } catch (const InputError&) {
    return otherwise;
  }
}

// What a text means: JSON, Python's repr of anything but a text, or itself.
json decode(const std::string& text) {
  const json python = parsed_or(python_to_json(text), text);
  return parsed_or(text, python.is_string() ? json(text) : python);
}

}  // namespace

RawValue::RawValue(const json& value) {
  json meant = value.is_string() ? decode(value.get<std::string>()) : value;
  const bool text = meant.is_string();
  *this = RawValue(std::move(meant), Decoded{});
  if (value.is_string() && !text) text_ = value;
}

RawValue::RawValue(json value, Decoded) : meant_(std::move(value)) {
  text_ = meant_.is_string() ? meant_.get<std::string>() : meant_.dump();
  if (!meant_.is_string()) return;
  // Numbers that tuning jobs quote, "\"256\"", or that a list holds as texts. Quotes that are there belong to the text.
  if (json inner = decode(text_); !inner.is_string()) meant_ = std::move(inner);
}

bool RawValue::is_null() const { return meant_.is_null() || text_.empty(); }

std::optional<std::int64_t> RawValue::integer() const {
  if (meant_.is_number_unsigned() && meant_.get<std::uint64_t>() > INT64_MAX) return std::nullopt;
  if (meant_.is_number_integer()) return meant_.get<std::int64_t>();
  if (!meant_.is_number_float()) return std::nullopt;
  const auto value = meant_.get<double>();
  constexpr double kExact = 9007199254740992;  // 2^53: every integer up to it has a double of its own
  if (std::abs(value) > kExact || value != std::trunc(value)) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

std::optional<double> RawValue::number() const {
  return meant_.is_number() ? std::optional(meant_.get<double>()) : std::nullopt;
}

std::optional<bool> RawValue::boolean() const {
  return meant_.is_boolean() ? std::optional(meant_.get<bool>()) : std::nullopt;
}

std::string RawValue::text() const { return text_; }

std::vector<RawValue> RawValue::items() const {
  std::vector<RawValue> items;
  if (meant_.is_array()) {
    for (const json& item : meant_) items.push_back(RawValue(item, Decoded{}));
    return items;
  }
  const std::string all(trimmed(text()));
  for (std::size_t begin = 0; !all.empty() && begin <= all.size();) {
    const std::size_t end = std::min(all.find(',', begin), all.size());
    items.emplace_back(std::string(trimmed(std::string_view(all).substr(begin, end - begin))));
    begin = end + 1;
  }
  return items;
}

json RawValue::structure() const { return meant_; }

}  // namespace lockstep
