#include "job/ContentType.h"

#include <algorithm>
#include <cctype>

namespace lockstep {

namespace {

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

}  // namespace

std::string ContentType::parameter(const std::string& name) const {
  const auto found = parameters.find(name);
  return found == parameters.end() ? "" : found->second;
}

ContentType parse_content_type(std::string_view text) {
  ContentType result;
  std::size_t end = std::min(text.find(';'), text.size());
  result.type = lower(trimmed(text.substr(0, end)));
  while (end < text.size()) {
    const std::size_t begin = end + 1;
    end = std::min(text.find(';', begin), text.size());
    const std::string_view part = trimmed(text.substr(begin, end - begin));
    if (part.empty()) continue;
    const std::size_t equals = std::min(part.find('='), part.size());
    std::string_view value = trimmed(part.substr(std::min(equals + 1, part.size())));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
    result.parameters[lower(trimmed(part.substr(0, equals)))] = std::string(value);
  }
  return result;
}

}  // namespace lockstep
