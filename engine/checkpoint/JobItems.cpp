#include "engine/checkpoint/JobItems.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "job/HyperparameterTable.h"

namespace lockstep {

namespace {

constexpr const char* kProgram = "program";

std::string in_one_line(const std::string& text) {
  std::string line;
  for (const char c : text) {
    if (c != '\n' && (c != ' ' || !line.ends_with(' '))) line += c;
    if (c == '\n' && !line.ends_with(' ')) line += ' ';
  }
  return line;
}

// Lists of labels may be long: from a little before the first byte that differs.
std::string shown(const std::string& value, std::size_t differs) {
  constexpr std::size_t kMost = 400;
  constexpr std::size_t kBefore = 100;
  const auto start_of_character = [&](std::size_t at) {
    while (at < value.size() && (static_cast<unsigned char>(value[at]) & 0xc0) == 0x80) ++at;
    return at;
  };
  const std::size_t begin = value.size() <= kMost || differs <= kBefore ? 0 : start_of_character(differs - kBefore);
  const std::size_t end = start_of_character(std::min(begin + kMost, value.size()));
  return (begin == 0 ? "" : "…") + value.substr(begin, end - begin) + (end == value.size() ? "" : "…");
}

}  // namespace

JobItems items_of(const Hyperparameters& hyperparameters) {
  JobItems items;
  for (const HyperparameterRow& row : hyperparameter_table()) {
    const nlohmann::json value = row.get(hyperparameters);
    const bool unnamed = row.unnamed && value == *row.unnamed;
    if (!unnamed && !row.may_change(hyperparameters)) items["hyperparameter " + row.name] = value.dump();
  }
  return items;
}

std::string difference(const JobItems& saved, const JobItems& now) {
  const auto value = [](const JobItems& items, const std::string& name) {
    const auto found = items.find(name);
    return found == items.end() ? std::string("missing") : found->second;
  };
  const auto told = [&](const std::string& name) -> std::string {
    if (value(saved, name) == value(now, name)) return "";
    std::string was = in_one_line(value(saved, name));
    std::string is = in_one_line(value(now, name));
    if (was == is) {  // they differ in blanks
      was = value(saved, name);
      is = value(now, name);
    }
    const auto differs = static_cast<std::size_t>(std::ranges::mismatch(was, is).in1 - was.begin());
    return name + " was " + shown(was, differs) + " and is " + shown(is, differs);
  };
  for (const JobItems* items : {&now, &saved}) {
    for (const auto& [name, ignored] : *items) {
      if (name == kProgram) continue;
      if (const std::string text = told(name); !text.empty()) return text;
    }
  }
  return told(kProgram);  // last: a built-in one follows from the data
}

}  // namespace lockstep
