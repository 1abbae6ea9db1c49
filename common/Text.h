// Small text helpers for messages that people read.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

/// The parts joined by `separator`.
std::string join(std::span<const std::string> parts, std::string_view separator);
std::string join(std::span<const std::int64_t> numbers, std::string_view separator);

/// The parts between separators: one more than there are separators.
std::vector<std::string> split(std::string_view text, char separator);

/// The candidate nearest to `word` by edit distance; where none is near enough to be what was meant, the first that
/// `word` shortens ("lr" and "learning" learning_rate), or "".
std::string nearest(std::string_view word, std::span<const std::string> candidates);

/// Quoted, with control characters and quotes escaped, and cut after about 120 bytes: for showing outside bytes.
std::string in_quotes(std::string_view text);

/// 1234567 as "1,234,567".
std::string with_commas(long long value);

/// printf into a string.
[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...);

}  // namespace lockstep
