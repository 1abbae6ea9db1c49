#include "engine/data/table/TableColumns.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/Columns.h"

namespace lockstep {

namespace {

std::string_view trimmed(std::string_view cell) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
  while (!cell.empty() && is_space(cell.front())) cell.remove_prefix(1);
  while (!cell.empty() && is_space(cell.back())) cell.remove_suffix(1);
  return cell;
}

template <typename Number>
std::optional<Number> number_of(std::string_view cell) {
  cell = trimmed(cell);
  if (cell.starts_with('+') && !cell.starts_with("+-")) cell.remove_prefix(1);
  Number number{};
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), number);
  if (error != std::errc() || end != cell.data() + cell.size()) return std::nullopt;
  return number;
}

std::string shown(std::string_view cell) {
  constexpr std::size_t kMost = 40;
  return in_quotes(std::string(cell.substr(0, kMost)) + (cell.size() > kMost ? "…" : ""));
}

[[noreturn]] void refuse_missing(const std::string& column) {
  throw InputError("column " + column + " has no value; fill it in, or leave the row out");
}

}  // namespace

std::optional<std::int64_t> integer_of(std::string_view cell) { return number_of<std::int64_t>(cell); }

std::optional<double> real_of(std::string_view cell) { return number_of<double>(cell); }

bool is_missing(std::string_view cell) {
  cell = trimmed(cell);
  if (cell.size() > 4 || (!cell.empty() && cell.front() < 'A')) return false;  // digits and signs come before letters
  std::string lower(cell);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower.empty() || lower == "na" || lower == "n/a" || lower == "nan" || lower == "null";
}

TableColumns::TableColumns(std::vector<std::string> names, const SampleSpec* like) {
  for (std::string& name : names) {
    if (name.empty()) throw InputError("a column has no name; name it in the header, or leave it out");
    if (name == kFeaturesField) {
      throw InputError("a column has the name " + name + ", which all columns of numbers have together; rename it");
    }
    if (std::ranges::find(columns_, name, &Column::name) != columns_.end()) {
      throw InputError("two columns have the name " + in_quotes(name));
    }
    Column column{.name = std::move(name)};
    if (like != nullptr) {
      const auto field = like->find(column.name);
      if (!field) throw InputError("the training channel has no column " + in_quotes(column.name));
      const Field& given = like->fields[*field];
      column.given = given;
      column.categories = given.categories;
      column.kind = !given.categories.empty() ? Kind::kText : is_real(given.type) ? Kind::kReal : Kind::kInteger;
    }
    columns_.push_back(std::move(column));
  }
  if (like == nullptr) return;
  // Numbers stand side by side in their columns' order.
  std::vector<std::string> given;
  for (const Field& field : like->fields) {
    if (field.name != kFeaturesField) given.push_back(field.name);
  }
  if (!std::ranges::equal(columns_, given, {}, &Column::name)) {
    throw InputError("expected the training channel's columns in its order: " + join(given, ", "));
  }
}

void TableColumns::look_at(std::span<const std::string_view> cells) {
  for (std::size_t i = 0; i < columns_.size(); ++i) look_at(columns_[i], cells[i]);
}

void TableColumns::look_at(Column& column, std::string_view cell) {
  const bool first = !std::exchange(column.seen, true);
  if (column.kind == Kind::kInteger) {
    if (const auto number = integer_of(cell)) {
      column.least = std::min(column.least, *number);
      column.most = std::max(column.most, *number);
      return;
    }
  }
  if (is_missing(cell)) refuse_missing(column.name);
  if (column.given) {
    std::int64_t unused = 0;
    write_cell(*column.given, cell, reinterpret_cast<std::byte*>(&unused));
    return;
  }
  const auto number = real_of(cell);
  if (number && !std::isfinite(*number)) {
    throw InputError("column " + column.name + " holds " + shown(cell) + ", which is no finite number");
  }
  const Kind kind = number ? Kind::kReal : Kind::kText;
  if (!first && (kind == Kind::kText) != (column.kind == Kind::kText)) {
    throw InputError(
        "column " + column.name + " holds " + shown(cell) +
        (kind == Kind::kText ? ", which is no number, and numbers before" : ", a number, and texts before"));
  }
  column.kind = kind;
}

bool TableColumns::has_text() const {
  return std::ranges::any_of(columns_,
                             [](const Column& column) { return column.kind == Kind::kText && !column.given; });
}

void TableColumns::collect(std::span<const std::string_view> cells) {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    Column& column = columns_[i];
    if (column.kind != Kind::kText || column.given) continue;
    if (is_missing(cells[i])) refuse_missing(column.name);
    const auto place = std::ranges::lower_bound(column.categories, cells[i], {},
                                                [](const std::string& s) { return std::string_view(s); });
    if (place != column.categories.end() && *place == cells[i]) continue;
    if (column.categories.size() == kMostCategories) {
      throw InputError("column " + column.name + " has more than " + std::to_string(kMostCategories) +
                       " different texts, such as " + shown(cells[i]) + ": it is no category; leave it out");
    }
    column.categories.emplace(place, cells[i]);
  }
}

std::vector<Field> TableColumns::fields(const std::string& origin) const {
  std::vector<Field> fields;
  for (const Column& column : columns_) {
    Field field{.name = column.name,
                .type = column.kind == Kind::kReal ? ElementType::kDouble : ElementType::kInt64,
                .categories = column.categories,
                .origin = origin};
    if (column.kind == Kind::kText) field.bound = static_cast<std::int64_t>(column.categories.size());
    const bool countable = column.least >= 0 && column.most < std::numeric_limits<std::int64_t>::max();
    if (column.kind == Kind::kInteger && countable) field.bound = column.most + 1;
    fields.push_back(std::move(field));
  }
  return fields;
}

void write_cell(const Field& field, std::string_view cell, std::byte* out) {
  std::int64_t integer = 0;
  if (!field.categories.empty()) {
    const auto place =
        std::ranges::lower_bound(field.categories, cell, {}, [](const std::string& s) { return std::string_view(s); });
    if (place == field.categories.end() || *place != cell) {
      throw InputError("column " + field.name + " holds " + shown(cell) + ", which is none of its " +
                       std::to_string(field.categories.size()) + " categories in the training channel");
    }
    integer = place - field.categories.begin();
  } else if (is_real(field.type)) {
    const auto number = real_of(cell);
    if (!number || !std::isfinite(*number)) {
      throw InputError("column " + field.name + " holds " + shown(cell) + ", which is no finite number");
    }
    std::memcpy(out, &*number, sizeof *number);
    return;
  } else {
    const auto number = integer_of(cell);
    if (!number) throw InputError("column " + field.name + " holds " + shown(cell) + ", which is no integer");
    integer = *number;
  }
  std::memcpy(out, &integer, sizeof integer);
}

}  // namespace lockstep
