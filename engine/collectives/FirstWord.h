// What ranks have to say, and who says something first.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace lockstep {

struct RankWord {
  std::size_t rank = 0;
  std::string text;
};

/// What the lowest rank says that has something to say; nothing where all texts are empty. `texts`: by rank, as
/// Communicator::all_gather returns them.
inline std::optional<RankWord> first_word(const std::vector<std::string>& texts) {
  const auto found = std::ranges::find_if(texts, [](const std::string& text) { return !text.empty(); });
  if (found == texts.end()) return std::nullopt;
  return RankWord{.rank = static_cast<std::size_t>(found - texts.begin()), .text = *found};
}

}  // namespace lockstep
