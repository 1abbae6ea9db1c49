#include "engine/data/CommonFields.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>

#include "common/Error.h"
#include "engine/data/Columns.h"

namespace lockstep {

namespace {

ElementType wider(ElementType a, ElementType b) {
  const auto rank = [](ElementType type) { return std::pair(is_real(type), size_of(type)); };
  return rank(a) < rank(b) ? b : a;
}

void add(Field& common, Field field) {
  common.type = wider(common.type, field.type);
  common.bound = common.bound == 0 || field.bound == 0 ? 0 : std::max(common.bound, field.bound);
  if (common.categories == field.categories) return;
  std::ranges::sort(common.categories);
  std::ranges::sort(field.categories);
  std::vector<std::string> all;
  std::ranges::set_union(common.categories, field.categories, std::back_inserter(all));
  common.categories = std::move(all);
  common.bound = static_cast<std::int64_t>(common.categories.size());
}

[[noreturn]] void refuse(const HostFields& a, const HostFields& b, const std::string& what) {
  throw InputError("hosts do not have the same " + what + ": " + a.host + " has " + describe(a.spec) + ", " + b.host +
                   " has " + describe(b.spec) + "; write the files of all hosts alike");
}

}  // namespace

SampleSpec common_fields(const std::vector<HostFields>& hosts) {
  const HostFields& first = hosts.at(0);
  SampleSpec common = first.spec;
  for (Field& field : common.fields) {
    field.large = false;
    field.origin.clear();
    if (field.fault) field.refuse(*field.fault);
  }
  for (const HostFields& host : hosts) {
    if (!std::ranges::equal(host.spec.fields, common.fields, {}, &Field::name, &Field::name)) {
      refuse(first, host, "fields");
    }
    for (std::size_t i = 0; i < common.fields.size(); ++i) {
      const Field& field = host.spec.fields[i];
      if (field.fault && !common.fields[i].fault) {
        common.fields[i].refuse(*field.fault);
        common.fields[i].fault->why = host.host + ": " + field.fault->why;
      }
      common.fields[i].absent = common.fields[i].absent && field.absent;
      if (common.fields[i].fault) continue;
      if (field.sizes != common.fields[i].sizes) refuse(first, host, "sizes of " + field.name);
      if (field.categories.empty() != common.fields[i].categories.empty()) {
        throw InputError("the field " + field.name + " holds texts on " +
                         (field.categories.empty() ? first : host).host + " and numbers on " +
                         (field.categories.empty() ? host : first).host + "; write the files of all hosts alike");
      }
      add(common.fields[i], field);
    }
  }
  std::erase_if(common.fields, [](const Field& field) { return field.absent; });
  return common;
}

bool same_fields(const SampleSpec& a, const SampleSpec& b) {
  return std::ranges::equal(a.fields, b.fields, [](const Field& one, const Field& other) {
    return one.name == other.name && one.type == other.type && one.sizes == other.sizes &&
           one.categories == other.categories;
  });
}

}  // namespace lockstep
