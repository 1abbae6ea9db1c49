// A hyperparameter's value as it arrived, in whichever encoding.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace lockstep {

/// SageMaker hands every value over as text, in one of three encodings: JSON (`"\"adam w\""`, `"[1, 2]"`, `"true"`),
/// plain (`"adam w"`), and Python's repr (`"True"`, `"{'a': None}"`). A job file holds JSON values; a flag holds text.
/// This class reads all of them alike: each question below is answered for what the value means.
class RawValue {
 public:
  explicit RawValue(const nlohmann::json& value);

  bool is_null() const;  ///< null, None, or an empty text, as which SageMaker's toolkit hands None over
  std::optional<std::int64_t> integer() const;  ///< also 64.0 and "64"; nothing when it is no integer of 64 bits
  std::optional<double> number() const;
  std::optional<bool> boolean() const;
  std::string text() const;             ///< a text without its quotes, or the value as it was written
  std::vector<RawValue> items() const;  ///< of a list, or of a text separated by commas
  nlohmann::json structure() const;     ///< lists and objects

 private:
  struct Decoded {};
  RawValue(nlohmann::json value, Decoded);  ///< of a value that is no longer encoded

  nlohmann::json meant_;  ///< after decoding
  std::string text_;
};

}  // namespace lockstep
