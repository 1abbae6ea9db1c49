#include "job/ContentType.h"

#include <algorithm>

#include "common/AsciiText.h"

namespace lockstep {

std::string ContentType::parameter(const std::string& name) const {
  const auto found = parameters.find(name);
  return found == parameters.end() ? "" : found->second;
}

ContentType parse_content_type(std::string_view text) {
  ContentType result;
  std::size_t end = std::min(text.find(';'), text.size());
  result.type = lower_case(trimmed(text.substr(0, end)));
  while (end < text.size()) {
    const std::size_t begin = end + 1;
    end = std::min(text.find(';', begin), text.size());
    const std::string_view part = trimmed(text.substr(begin, end - begin));
    if (part.empty()) continue;
    const std::size_t equals = std::min(part.find('='), part.size());
    std::string_view value = trimmed(part.substr(std::min(equals + 1, part.size())));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
    result.parameters[lower_case(trimmed(part.substr(0, equals)))] = std::string(value);
  }
  return result;
}

}  // namespace lockstep
