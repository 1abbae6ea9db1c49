// What a channel's data is said to be: SageMaker's ContentType, or the hyperparameter content_type.
#pragma once

#include <array>
#include <map>
#include <string>
#include <string_view>

namespace lockstep {

/// A media type and its parameters (RFC 9110, section 8.3.1), as in "text/csv; header=absent; label_size=0".
struct ContentType {
  std::string type{};                               ///< in lower case: "text/csv"; "" when nobody said one
  std::map<std::string, std::string> parameters{};  ///< by their names in lower case

  /// The parameter's value; "" without it.
  std::string parameter(const std::string& name) const;
};

/// Those that say how a channel is read. Others are taken for what somebody else wants to know.
inline constexpr const char* kCsvType = "text/csv";
inline constexpr const char* kJsonLinesType = "application/jsonlines";
inline constexpr const char* kNdjsonType = "application/x-ndjson";
inline constexpr const char* kRecordIoType = "application/x-recordio-protobuf";
inline constexpr std::array kContentTypes = {kCsvType, kJsonLinesType, kNdjsonType, kRecordIoType};

ContentType parse_content_type(std::string_view text);

}  // namespace lockstep
