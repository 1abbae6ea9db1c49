#include "engine/data/table/TableColumns.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "common/AsciiText.h"
#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/ColumnFaultJson.h"
#include "engine/data/Columns.h"
#include "engine/data/Padding.h"
#include "job/Json.h"

namespace lockstep {

using nlohmann::json;

namespace {

template <typename Number>
std::optional<Number> number_of(std::string_view cell) {
  cell = trimmed(cell);
  if (cell.starts_with('+') && !cell.starts_with("+-")) cell.remove_prefix(1);
  Number number{};
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), number);
  if (error != std::errc() || end != cell.data() + cell.size()) return std::nullopt;
  return number;
}

std::string shown_text(std::string_view cell) {
  constexpr std::size_t kMost = 40;
  return in_quotes(std::string(cell.substr(0, kMost)) + (cell.size() > kMost ? "…" : ""));
}

// Among texts. Without any text it was what fills the column that made it one of texts.
[[noreturn]] void refuse_number(const std::string& column, const ColumnReading& reading, bool given, bool seen,
                                const std::string& number) {
  if (reading.fill && !seen) check_fill(column, *reading.fill, /*texts=*/false);
  throw InputError("column " + column + " holds " + in_quotes(number) + ", a number, and texts " +
                   (given ? "in the training channel" : "before"));
}

// By its bits, which the compiler looks at several at once.
bool is_finite(double value) {
  constexpr std::uint64_t kExponent = 0x7ff0'0000'0000'0000;
  return (std::bit_cast<std::uint64_t>(value) & kExponent) != kExponent;
}

bool holds_texts(const ColumnReading& reading) {
  return reading.as_text() || (reading.fill && reading.fill->text() != nullptr);
}

std::string of_sizes(std::span<const std::int64_t> sizes) {
  return sizes.empty() ? "a single value" : "an array of [" + join(std::vector(sizes.begin(), sizes.end()), ", ") + "]";
}

}  // namespace

void check_fill(const std::string& column, const Fill& fill, bool texts) {
  if (texts == (fill.text() != nullptr)) return;
  const auto* number = std::get_if<double>(&fill.value);
  throw InputError("column " + column + " holds " +
                   (texts ? R"(texts: expected a text to fill it, as in "fill": "unknown"; found )"
                          : R"(numbers: expected "fill" to be a number or "mean"; found )") +
                   (number ? format("%.17g", *number) : in_quotes(std::get<std::string>(fill.value))));
}

std::optional<std::int64_t> integer_of(std::string_view cell) { return number_of<std::int64_t>(cell); }

std::optional<double> real_of(std::string_view cell) { return number_of<double>(cell); }

bool is_missing(std::string_view cell) {
  cell = trimmed(cell);
  if (cell.size() > 4 || (!cell.empty() && cell.front() < 'A')) return false;  // digits and signs come before letters
  const std::string lower = lower_case(cell);
  return lower.empty() || lower == "na" || lower == "n/a" || lower == "nan" || lower == "null";
}

std::string unnamed_column(std::size_t number) { return "__index_level_" + std::to_string(number) + "__"; }

bool is_index_name(const std::string& name) {
  const auto is = [&](std::string_view before, std::string_view after) {
    if (name.size() <= before.size() + after.size() || !name.starts_with(before) || !name.ends_with(after))
      return false;
    const std::string number = name.substr(before.size(), name.size() - before.size() - after.size());
    return number.find_first_not_of("0123456789") == std::string::npos;
  };
  return is("Unnamed: ", "") || is("__index_level_", "__");
}

std::vector<std::string> columns_of(const SampleSpec& like, const std::vector<std::string>& names,
                                    const FieldDescriptions& described) {
  const std::map<std::string, ColumnReading> readings = column_readings(described);
  std::vector<std::string> columns;
  for (const Field& field : like.fields) {
    const bool joined = field.name == kFeaturesField && std::ranges::find(names, field.name) == names.end();
    const bool mask =
        std::ranges::any_of(readings, [&](const auto& reading) { return reading.second.pad.mask == field.name; });
    if (!joined && !mask) columns.push_back(field.name);
  }
  return columns;
}

TableColumns::TableColumns(std::vector<std::string> names, const SampleSpec* like, const FieldDescriptions& described) {
  const std::map<std::string, ColumnReading> readings = column_readings(described);
  std::set<std::string> known;
  for (std::string& name : names) {
    if (name.empty()) throw InputError("a column has no name; name it in the header, or leave it out");
    if (!known.insert(name).second) {
      throw InputError("two columns have the name " + in_quotes(name));
    }
    Column column;
    column.name = std::move(name);
    column.row_index = is_index_name(column.name);
    if (const auto found = readings.find(column.name); found != readings.end()) column.reading = found->second;
    if (holds_texts(column.reading)) column.kind = Kind::kText;
    if (column.reading.pad.length > 0) column.sizes = {column.reading.pad.length};
    if (like != nullptr) {
      const auto field = like->find(column.name);
      if (!field) throw InputError("the training channel has no column " + in_quotes(column.name));
      const Field& given = like->fields[*field];
      column.given = given;
      column.fault = given.fault;
      column.row_index = given.row_index;
      column.sizes = given.sizes;
      column.kind = !given.categories.empty() || holds_texts(column.reading) ? Kind::kText
                    : is_real(given.type)                                    ? Kind::kReal
                                                                             : Kind::kInteger;
    }
    columns_.push_back(std::move(column));
  }
  if (like == nullptr) return;
  // Numbers stand side by side in their columns' order.
  std::vector<std::string> own;
  for (const Column& column : columns_) own.push_back(column.name);
  const std::vector<std::string> given = columns_of(*like, own, described);
  if (own == given) return;
  throw InputError("a channel must have the columns of the training channel, in the same order: expected " +
                   join(given, ", ") + "; found " + join(own, ", "));
}

void TableColumns::take_texts(const TableColumns& other) {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (!columns_[i].given && other.columns_[i].kind == Kind::kText) columns_[i].kind = Kind::kText;
  }
}

bool TableColumns::all_seen() const {
  return std::ranges::all_of(columns_, [](const Column& column) { return column.seen || column.fault; });
}

void TableColumns::expect_texts(std::size_t column) {
  if (!columns_[column].given) columns_[column].kind = Kind::kText;
}

bool TableColumns::takes(std::size_t column) const {
  const ColumnUse use = uses_.empty() ? ColumnUse::kNamed : uses_[column];
  const Column& shown = columns_[column];
  return use == ColumnUse::kNamed || (use == ColumnUse::kFeature && shown.kind != Kind::kText && !shown.row_index);
}

std::string TableColumns::placed(const std::string& text) const { return (place_ ? place_() + ": " : "") + text; }

void TableColumns::note_fault(std::size_t column, const std::string& why) {
  const bool numbers = columns_[column].kind != Kind::kText && columns_[column].sizes.empty();
  columns_[column].fault = ColumnFault{.why = placed(why),
                                       .what = numbers ? "numbers that cannot be used" : "values that cannot be used",
                                       .numbers = numbers};
}

// What was found wrong where it lay, or else that values are missing.
std::optional<ColumnFault> TableColumns::fault_of(const Column& column) {
  if (column.fault || column.lacking == 0) return column.fault;
  const std::string rows = with_commas(column.lacking) + (column.lacking == 1 ? " row" : " rows");
  const std::string more = column.lacking == 1 ? "" : " (" + rows + " have none)";
  const bool texts = column.kind == Kind::kText;
  const std::string fill = "fill it, as in fields: {\"column\": " + in_quotes(column.name) +
                           ", \"fill\": " + (texts ? "\"unknown\"" : "\"mean\"") + "}";
  const bool alone = column.sizes.empty();
  const std::string out = column.lacking == 1 ? "leave the row out" : "leave the rows out";
  const std::string what_to_do = !alone        ? out
                                 : column.seen ? fill + ", or " + out
                                               : "no row has one: leave the column out";
  return ColumnFault{
      .why = column.lacks + more + "; " + what_to_do, .what = "no value in " + rows, .numbers = !texts && alone};
}

void TableColumns::add_other(std::string_view name, std::int64_t rows) {
  if (!columns_.empty() && columns_[0].given) return;
  if (others_refused_) throw InputError("it has the column " + shown_text(name) + ", which few rows have");
  const auto found = others_.find(name);
  if (found == others_.end() && others_.size() == kMostOthers) {
    throw InputError("it has the column " + shown_text(name) + ", one more than the " + std::to_string(kMostOthers) +
                     " that may be added to the columns of the channel's first row");
  }
  (found == others_.end() ? others_.emplace(name, 0).first : found)->second += rows;
}

void TableColumns::begin_row() {
  for (Column& column : columns_) column.before_row = column;
  new_texts_.emplace();
}

void TableColumns::undo_row() {
  for (Column& column : columns_) static_cast<Found&>(column) = column.before_row;
  for (const auto& [column, text] : *new_texts_) columns_[column].texts.erase(text);
  new_texts_->clear();
}

void TableColumns::look_at(std::span<const std::string_view> cells) {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    show(i, [&] { look_at(i, cells[i]); });
  }
}

void TableColumns::look_at(std::size_t column, std::string_view cell) {
  const Column& shown = columns_[column];
  if (!shown.sizes.empty()) sizes(column, {});
  const bool number = shown.kind != Kind::kReal && !shown.reading.as_text();
  if (const auto whole = number ? integer_of(cell) : std::nullopt) {
    integer(column, *whole);
  } else if (is_missing(cell)) {
    missing(column);
  } else if (const auto real_number = shown.reading.as_text() ? std::nullopt : real_of(cell)) {
    real(column, *real_number);
  } else {
    text(column, cell);
  }
}

void TableColumns::sizes(std::size_t column, std::span<const std::int64_t> sizes) {
  Column& shown = columns_[column];
  if (!shown.seen && !shown.given && shown.reading.pad.length == 0) shown.sizes.assign(sizes.begin(), sizes.end());
  if (std::ranges::equal(shown.sizes, sizes)) return;
  throw InputError("column " + shown.name + " holds " + of_sizes(sizes) + ", and " + of_sizes(shown.sizes) +
                   (shown.given ? " in the training channel" : " before") +
                   ": arrays of a column have one size; pad or cut them");
}

void TableColumns::length(std::size_t column, std::int64_t count) {
  columns_[column].there = true;
  check_length({.name = columns_[column].name, .reading = columns_[column].reading}, count);
}

void TableColumns::integers(std::size_t column, std::span<const std::int64_t> values) {
  Column& shown = columns_[column];
  if (shown.reading.as_text()) {
    for (const std::int64_t value : values) text(column, std::to_string(value));
    return;
  }
  const bool seen = std::exchange(shown.seen, true);
  if (values.empty()) return;
  if (shown.kind == Kind::kText) {
    refuse_number(shown.name, shown.reading, shown.given.has_value(), seen, std::to_string(values[0]));
  }
  const auto [least, most] = std::ranges::minmax(values);
  shown.least = std::min(shown.least, least);
  shown.most = std::max(shown.most, most);
}

void TableColumns::reals(std::size_t column, std::span<const double> values) {
  Column& shown = columns_[column];
  const bool seen = std::exchange(shown.seen, true);
  bool all_finite = true;
  for (const double value : values) all_finite &= is_finite(value);
  if (!all_finite) {
    throw InputError("column " + shown.name + " holds " +
                     in_quotes(format("%g", *std::ranges::find_if_not(values, is_finite))) +
                     ", which is no finite number");
  }
  const auto first = [&] { return values.empty() ? "real numbers" : format("%.17g", values[0]); };
  if (shown.kind == Kind::kText) refuse_number(shown.name, shown.reading, shown.given.has_value(), seen, first());
  if (shown.kind == Kind::kInteger && shown.given) {
    throw InputError("column " + shown.name + " holds " + in_quotes(first()) +
                     ", which is no integer as the training channel's are");
  }
  shown.kind = Kind::kReal;
}

void TableColumns::text(std::size_t column, std::string_view value) {
  Column& shown = columns_[column];
  const bool first = !std::exchange(shown.seen, true);
  if (shown.reading.hash_buckets > 0) return;
  if (shown.kind == Kind::kText && shown.given) {
    category_of(*shown.given, value);
    return;
  }
  if (shown.kind != Kind::kText && (!first || shown.given)) {
    throw InputError("column " + shown.name + " holds " + shown_text(value) + ", which is no number, and numbers " +
                     (shown.given ? "in the training channel" : "before"));
  }
  shown.kind = Kind::kText;
  if (shown.texts.contains(value)) return;
  shown.text_bytes += value.size();
  if (shown.texts.size() == kMostCategories || shown.text_bytes > kMostCategoryBytes) {
    throw InputError("column " + shown.name + " has more than " + std::to_string(kMostCategories) +
                     " different texts, or " + std::to_string(kMostCategoryBytes >> 20) + " MiB of them, such as " +
                     shown_text(value) + ": it is no category; leave it out");
  }
  shown.texts.emplace(value);
  if (new_texts_) new_texts_->emplace_back(column, value);
}

void TableColumns::missing(std::size_t column, bool absent) {
  Column& shown = columns_[column];
  shown.there = shown.there || !absent;
  if (shown.reading.may_lack() || shown.fault) return;
  const auto what = [&] {
    return absent ? "it has no " + in_quotes(shown.name) + ", which " +
                        (shown.given ? "the training channel has" : "other rows have")
                  : "column " + shown.name + " has no value";
  };
  if (is_bad_row(column)) throw InputError(what());
  if (shown.lacking++ == 0) shown.lacks = placed(what());
}

json TableColumns::findings() const {
  json all = json::array();
  for (const Column& column : columns_) {
    all.push_back({{"kind", static_cast<int>(column.kind)},
                   {"seen", column.seen},
                   {"there", column.there},
                   {"least", column.least},
                   {"most", column.most},
                   {"sizes", column.sizes},
                   {"lacking", column.lacking},
                   {"lacks", column.lacks},
                   {"texts", std::vector(column.texts.begin(), column.texts.end())}});
    if (const auto& fault = column.fault) all.back()["fault"] = fault_to_json(*fault);
  }
  return all;
}

void TableColumns::restore(const json& findings) {
  if (findings.size() != columns_.size()) throw InputError("findings of other columns");
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    Column& column = columns_[i];
    const json& found = findings[i];
    column.kind = static_cast<Kind>(read_int(found.at("kind"), 0, static_cast<int>(Kind::kText)));
    column.seen = found.at("seen").get<bool>();
    column.there = found.at("there").get<bool>();
    column.least = read_int(found.at("least"));
    column.most = read_int(found.at("most"));
    column.sizes.clear();
    for (const json& size : found.at("sizes")) column.sizes.push_back(read_int(size, 0));
    column.lacking = read_int(found.at("lacking"), 0);
    column.lacks = found.at("lacks").get<std::string>();
    for (const json& text : found.at("texts")) column.texts.insert(text.get<std::string>());
    if (found.contains("fault")) column.fault = fault_from_json(found.at("fault"));
  }
}

void TableColumns::drop_absent() {
  std::erase_if(columns_, [](const Column& column) { return column.absent(); });
}

std::vector<Field> TableColumns::fields(const std::string& origin) const {
  std::vector<Field> fields;
  for (const Column& column : columns_) {
    Field field{.name = column.name,
                .type = column.kind == Kind::kReal ? ElementType::kDouble : ElementType::kInt64,
                .sizes = column.sizes,
                .origin = origin,
                .absent = column.absent(),
                .reading = column.reading,
                .row_index = column.row_index};
    if (auto fault = fault_of(column)) {
      field.refuse(*std::move(fault));
      fields.push_back(std::move(field));
      continue;
    }
    if (field.reading.fill) check_fill(field.name, *field.reading.fill, column.kind == Kind::kText);
    if (column.reading.hash_buckets > 0) {
      field.bound = column.reading.hash_buckets;
    } else if (column.kind == Kind::kText) {
      field.categories = categories(column);
      field.bound = static_cast<std::int64_t>(field.categories.size());
    } else if (column.reading.fill) {
      field.type = ElementType::kDouble;
    } else if (column.kind == Kind::kInteger) {
      const Padding& pad = column.reading.pad;
      const bool padded_by_more = pad.value > static_cast<double>(column.most) && pad.value < 0x1p62;
      const std::int64_t most = padded_by_more ? static_cast<std::int64_t>(pad.value) : column.most;
      const bool countable = column.least >= 0 && pad.value >= 0 && most < std::numeric_limits<std::int64_t>::max();
      if (countable) field.bound = most + 1;
    }
    fields.push_back(std::move(field));
  }
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (fields[i].reading.pad.mask.empty()) continue;
    Field mask = mask_of(fields[i]);
    mask.absent = fields[i].absent;
    if (fields[i].fault) mask.refuse(*fields[i].fault);
    if (std::ranges::find(fields, mask.name, &Field::name) != fields.end()) {
      throw InputError("the mask of column " + fields[i].name + " cannot be named " + in_quotes(mask.name) +
                       ", as another column is");
    }
    fields.push_back(std::move(mask));
  }
  return fields;
}

std::vector<std::string> TableColumns::categories(const Column& column) {
  if (column.given) return column.given->categories;
  std::vector<std::string> categories(column.texts.begin(), column.texts.end());
  if (column.reading.fill && !column.texts.contains(*column.reading.fill->text())) {
    categories.push_back(*column.reading.fill->text());
  }
  std::ranges::sort(categories);
  return categories;
}

std::int64_t category_of(const Field& field, std::string_view text) {
  const auto place =
      std::ranges::lower_bound(field.categories, text, {}, [](const std::string& s) { return std::string_view(s); });
  if (place == field.categories.end() || *place != text) {
    throw InputError("column " + field.name + " holds " + shown_text(text) + ", which is none of its " +
                     std::to_string(field.categories.size()) + " categories in the training channel");
  }
  return place - field.categories.begin();
}

void write_text(const Field& field, std::string_view text, std::byte* out) {
  const std::int64_t buckets = field.reading.hash_buckets;
  const std::int64_t number = buckets > 0 ? text_bucket(text, buckets) : category_of(field, text);
  std::memcpy(out, &number, sizeof number);
}

void write_missing(const Field& field, std::byte* out) {
  if (!is_real(field.type)) return write_text(field, *field.reading.fill->text(), out);
  const double missing = std::numeric_limits<double>::quiet_NaN();
  std::memcpy(out, &missing, sizeof missing);
}

void write_cell(const Field& field, std::string_view cell, std::byte* out) {
  if (field.reading.fill && is_missing(cell)) return write_missing(field, out);
  if (is_real(field.type)) {
    const auto number = real_of(cell);
    if (!number || !std::isfinite(*number)) {
      throw InputError("column " + field.name + " holds " + shown_text(cell) + ", which is no finite number");
    }
    std::memcpy(out, &*number, sizeof *number);
    return;
  }
  if (!field.categories.empty() || field.reading.hash_buckets > 0) return write_text(field, cell, out);
  const auto number = integer_of(cell);
  if (!number) throw InputError("column " + field.name + " holds " + shown_text(cell) + ", which is no integer");
  std::memcpy(out, &*number, sizeof *number);
}

}  // namespace lockstep
