#include "engine/artifacts/DimensionNames.h"

#include <string_view>
#include <variant>

namespace lockstep {

std::map<std::string, std::string> dimension_names(const std::vector<std::vector<Dimension>>& inputs) {
  std::map<std::string, std::string> names;
  for (const std::vector<Dimension>& sizes : inputs) {
    for (const Dimension& size : sizes) {
      const auto* symbol = std::get_if<std::string>(&size);
      if (!symbol || names.contains(*symbol)) continue;
      const bool first = &size == sizes.data() && names.empty();
      names[*symbol] = first ? "batch" : *symbol;
    }
  }
  return names;
}

std::vector<Dimension> plain_sizes(std::vector<Dimension> sizes) {
  constexpr std::string_view before = "Symbol('";
  for (Dimension& size : sizes) {
    auto* text = std::get_if<std::string>(&size);
    if (!text) continue;
    for (std::size_t at = text->find(before); at != std::string::npos; at = text->find(before, at)) {
      const std::size_t quote = text->find('\'', at + before.size());
      const std::size_t end = text->find(')', at + before.size());
      if (quote == std::string::npos || end == std::string::npos || quote > end) break;
      text->erase(quote, end + 1 - quote);
      text->erase(at, before.size());
    }
  }
  return sizes;
}

}  // namespace lockstep
