#include "job/Json.h"

#include <utility>

#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

using nlohmann::json;

namespace {

// Makes the value of what nlohmann's reader meets, and stops it at what is not wanted. The reader keeps no stack.
class Builder : public json::json_sax_t {
 public:
  Builder(const std::string& origin, const JsonLimits& limits) : origin_(origin), limits_(limits) {}

  json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // no JSON text holds one
  bool start_object(std::size_t) override { return open(json::object()); }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    if (open_.back()->contains(name)) throw InputError(origin_ + " holds the key " + in_quotes(name) + " twice");
    key_ = std::move(name);
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const json::exception& error) override {
    throw InputError(origin_ + " is not JSON: " + error.what());
  }

 private:
  json& add_place(json value) {
    if (++values_ > limits_.values) {
      throw InputError(origin_ + " holds more than " + std::to_string(limits_.values) + " values");
    }
    if (open_.empty()) return root_ = std::move(value);
    json& holder = *open_.back();
    return (holder.is_array() ? holder.emplace_back() : holder[key_]) = std::move(value);
  }
  bool add(json value) {
    add_place(std::move(value));
    return true;
  }
  bool open(json empty) {
    if (open_.size() == limits_.depth) {
      throw InputError(origin_ + " is nested more than " + std::to_string(limits_.depth) + " deep");
    }
    open_.push_back(&add_place(std::move(empty)));  // it stays there: nothing is added beside it before it is closed
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  const std::string& origin_;
  const JsonLimits& limits_;
  json root_;
  std::vector<json*> open_;
  std::string key_;
  std::size_t values_ = 0;
};

}  // namespace

json parse_json(std::string_view text, const std::string& origin, const JsonLimits& limits) {
  if (text.size() > limits.bytes) {
    throw InputError(origin + " has " + std::to_string(text.size()) + " bytes of JSON; at most " +
                     std::to_string(limits.bytes) + " are read");
  }
  Builder builder(origin, limits);
  json::sax_parse(text, &builder);
  return builder.take();
}

std::int64_t read_int(const json& value, std::int64_t least, std::int64_t most) {
  const bool fits =
      value.is_number_integer() &&
      !(value.is_number_unsigned() &&
        value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
  const std::int64_t number = fits ? value.get<std::int64_t>() : 0;
  if (fits && number >= least && number <= most) return number;
  throw InputError("expected an integer from " + std::to_string(least) + " to " + std::to_string(most) + ", found " +
                   excerpt(value));
}

std::vector<std::string> text_list(const json& value, const std::string& origin) {
  try {
    return value.get<std::vector<std::string>>();
  } catch (const json::exception&) {
    throw InputError(origin + " must be a list of texts, not " + excerpt(value));
  }
}

std::string excerpt(const json& value) {
  constexpr std::size_t kMost = 200;
  const std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);  // ASCII: it can be cut anywhere
  return text.size() <= kMost ? text : text.substr(0, kMost) + "…";
}

}  // namespace lockstep
